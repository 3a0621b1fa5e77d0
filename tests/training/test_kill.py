"""Runs that are killed at random moments, and resumed: the weights of an unkilled run, or one refusal."""

import multiprocessing
import os
import random
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import TINY_FACES

import fer
from fer.core.errors import FerError
from fer.training.run_record import read_record

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("FER_TEST_KILLS", "3"))
REFUSED = 2
EPOCHS = 10
OPTIONS = (
    *TINY_FACES, "datamodule.batch_size=16", f"trainer.max_epochs={EPOCHS}", "model=fast_cnn_inner",
    "ema=true", "augmentation=light",
)  # fmt: skip


def _train(overrides: tuple[str, ...], output: Path) -> None:
    """Train in a child process, with its output in a file; exit with the status of the command."""
    with output.open("w") as file:
        sys.stdout = sys.stderr = file
        torch.set_num_threads(1)
        try:
            fer.train(*overrides)
        except FerError as error:
            print(f"error: {error}", flush=True)
            os._exit(REFUSED)
        os._exit(0)


def start(output: Path, *overrides: str) -> multiprocessing.Process:
    process = multiprocessing.get_context("fork").Process(target=_train, args=(overrides, output))
    process.start()
    return process


def finish(process: multiprocessing.Process) -> int | None:
    process.join(300)
    return process.exitcode


def weights(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    names = ("best", "last")
    return {
        name: torch.load(folder / f"checkpoints/{name}.ckpt", weights_only=True)["state_dict"]
        for name in names
    }


@pytest.fixture(scope="module")
def unkilled(tmp_path_factory):
    """Folder and duration in seconds of a run that is not killed."""
    import fer.training.run  # noqa: F401  # imported once, in the parent of all processes

    folder = tmp_path_factory.mktemp("unkilled")
    # The first run fills the caches.
    assert finish(start(folder / "first.txt", f"hydra.run.dir={folder}/first", *OPTIONS)) == 0
    begin = time.monotonic()
    assert finish(start(folder / "run.txt", f"hydra.run.dir={folder}/run", *OPTIONS)) == 0
    return folder / "run", time.monotonic() - begin


@pytest.mark.parametrize("number", range(KILLS))
def test_a_killed_run_resumes_to_the_same_weights_or_is_refused(unkilled, tmp_path, number):
    expected, duration = unkilled
    folder, output = tmp_path / "job", tmp_path / "output.txt"
    # Stratified over the run, so that few kills also reach its start and its end.
    moment = duration * (number + random.random()) / KILLS
    process = start(output, f"hydra.run.dir={folder}", *OPTIONS)
    time.sleep(moment)
    process.kill()
    process.join()
    status = read_record(folder).status
    resumed = finish(start(output, f"resume={folder}"))
    print(f"killed after {moment:.2f} of {duration:.2f} s ({status or 'no record'}): {resumed}")
    if resumed == REFUSED:
        # Killed before the config was written, or after the run had finished.
        line = output.read_text().splitlines()[-1]
        print(line)
        assert line.startswith("error: resume=")
        assert status in ("", "starting", "finished")
    else:
        assert resumed == 0, output.read_text()
        assert read_record(folder).status == "finished"
    if status != "" and read_record(folder).status == "finished":
        _assert_same_run(folder, expected)


def test_a_start_in_a_used_folder_is_refused_whenever_it_is_killed(unkilled, tmp_path):
    folder, duration = unkilled
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for number in range(KILLS):
        process = start(tmp_path / "output.txt", f"hydra.run.dir={folder}", *OPTIONS, "seed=7")
        process.join(duration * (number + random.random()) / KILLS)
        process.kill()
        process.join()
        assert finish(start(tmp_path / "resume.txt", f"resume={folder}")) == REFUSED
        assert "this run has finished" in (tmp_path / "resume.txt").read_text()
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _assert_same_run(folder: Path, expected: Path) -> None:
    trained, reference = weights(folder), weights(expected)
    for name, state in reference.items():
        assert state.keys() == trained[name].keys()
        for key, value in state.items():
            np.testing.assert_array_equal(trained[name][key], value, err_msg=f"{name} {key}")
    assert len((folder / "metrics.csv").read_text().splitlines()) == 1 + EPOCHS
