"""Runs through the public entry point, in this process and small."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["FER_CACHE_DIR"] = os.environ.get("FER_CACHE_DIR") or str(Path(__file__).parent / ".cache")
os.environ["WANDB_MODE"] = "offline"
os.environ["OMP_NUM_THREADS"] = "1"  # a core for each of the test processes
if not os.environ.get("FER_TEST_GPU"):  # what tests expect to the last bit, a CPU computes
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

import cv2
import numpy as np
import pytest
from browser import PROGRAM, Browser
from tiny import TINY, TINY_FACES, write_votes

Command = Callable[..., tuple[Any, str, str]]  # words in; exit status, standard output and error out


@dataclass
class Run:
    """What a run of fer-train left."""

    status: int
    folder: Path | None

    @property
    def record(self) -> dict[str, Any]:
        assert self.folder is not None
        return json.loads((self.folder / "run.json").read_text())


@pytest.fixture
def fer_train(tmp_path, monkeypatch, request) -> Callable[..., Run]:
    """Call fer-train's ``main`` with words of a command line; runs go under ``tmp_path``.

    Pictures are drawn for tests that ask for `pictures` alone.
    """
    if "pictures" not in request.fixturenames:
        request.getfixturevalue("no_pictures")

    def call(*words: str) -> Run:
        from fer.train import main

        output = tmp_path / "outputs"
        before = set(output.glob("train/*/*"))
        monkeypatch.setattr(sys, "argv", ["fer-train", f"output_dir={output}", *words])
        with pytest.raises(SystemExit) as exit_:
            main()
        made = sorted(set(output.glob("train/*/*")) - before)
        return Run(int(exit_.value.code or 0), made[0] if made else None)

    return call


@pytest.fixture
def tiny_run(fer_train) -> Callable[..., Run]:
    """Train on two batches of a few drawn faces."""
    return lambda *words: fer_train(*TINY, *TINY_FACES, *words)


@pytest.fixture(scope="session")
def fer2013_csv(tmp_path_factory) -> Path:
    """Write a small fer2013.csv of noise, and FER+'s votes beside it: 70 training, 35 and 35 more rows."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("fer2013") / "fer2013.csv"
    with path.open("w") as file:
        file.write("emotion,pixels,Usage\n")
        for usage, rows in (("Training", 70), ("PublicTest", 35), ("PrivateTest", 35)):
            for row in range(rows):
                pixels = " ".join(map(str, rng.integers(0, 256, 48 * 48)))
                file.write(f"{row % 7},{pixels},{usage}\n")
    write_votes(path.with_name("fer2013new.csv"), {"Training": 70, "PublicTest": 35, "PrivateTest": 35})
    return path


@pytest.fixture
def fer_evaluate(capsys) -> Command:
    """Call fer-evaluate; return its status and what it printed."""
    from fer.evaluate import main

    return _command(main, capsys)


@pytest.fixture
def fer_export(capsys) -> Command:
    """Call fer-export; return its status and what it printed."""
    from fer.export import main

    return _command(main, capsys)


def _command(main: Callable[[list[str]], None], capsys: pytest.CaptureFixture[str]) -> Command:
    def call(*words: object) -> tuple[Any, str, str]:
        with pytest.raises(SystemExit) as exit_:
            main([str(word) for word in words])
        said = capsys.readouterr()
        return exit_.value.code, said.out, said.err

    return call


@pytest.fixture
def run(tmp_path, fer2013_csv) -> Path:
    """A trained run on a few images of noise."""
    from written_run import write_run

    return write_run(tmp_path / "outputs", {"name": "fer2013", "path": str(fer2013_csv)})


@pytest.fixture
def homeless(tmp_path, fer2013_csv) -> Path:
    """A run whose data has gone."""
    from written_run import write_run

    here = tmp_path / "moved.csv"
    here.write_bytes(fer2013_csv.read_bytes())
    run = write_run(tmp_path / "outputs", {"name": "fer2013", "path": str(here)})
    here.unlink()
    return run


@pytest.fixture(scope="session")
def onnx_files(tmp_path_factory) -> Path:
    """A folder of ONNX files by what went into them."""
    return tmp_path_factory.mktemp("written")


@pytest.fixture
def exported_once(onnx_files, monkeypatch) -> None:
    """Export one and the same network once for all tests, as that takes seconds."""
    from fer.exporting import make
    from fer.exporting.onnx_file import write_onnx
    from fer.scoring.runs import hash_model

    def write(network, path, about):
        parts = (hash_model(network.model)[:16], f"{network.temperature:.6f}", network.gray, about["name"])
        file = onnx_files / f"{'-'.join(map(str, parts))}.onnx"
        if not file.exists():
            write_onnx(network, file, about)
        shutil.copyfile(file, path)

    monkeypatch.setattr(make, "write_onnx", write)


@pytest.fixture
def no_pictures(monkeypatch) -> None:
    """Save a dot for every picture: drawing them is half of a small run."""
    dot = cv2.imencode(".png", np.zeros((1, 1, 3), np.uint8))[1].tobytes()
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda _, file, **how: file.write(dot))


@pytest.fixture
def pictures() -> None:
    """Let runs draw their pictures after all."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Start a headless Chromium with a camera of its own; a test opens pages in it.

    While it runs, Playwright's event loop does, and no test beside it could start one.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright (group dev)")
    if PROGRAM is None:
        pytest.skip("needs Chromium (apt-get install chromium) or Chrome")
    camera = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox", *camera])
        yield chromium
        chromium.close()


@pytest.fixture
def browser(chromium) -> Iterator[Browser]:
    """A tab for pages that lie on disk."""
    browser = Browser(chromium)
    yield browser
    browser.close()
