"""Every user error of fer-evaluate ends in a one-line message."""

import shutil
import subprocess
import sys

import pytest
import torch
from report_files import ledger
from untrained_run import write_run

from fer.core.labels import LabelSpace
from fer.evaluation.cli import compare_main, evaluate_main

pytestmark = pytest.mark.usefixtures("few_sections")


def truncate_file(run, size):
    path = run / "checkpoints" / "best.ckpt"
    path.write_bytes(path.read_bytes()[:size])


def remove_checkpoint(run):
    (run / "checkpoints" / "best.ckpt").unlink()


def replace_by_another_file(run):
    shutil.copy(run / "config.yaml", run / "checkpoints" / "best.ckpt")


def no_change(run):
    """Do not change the run."""


MISTAKES = {
    "no checkpoint": (remove_checkpoint, [], "checkpoints/best.ckpt"),
    "cut off": (lambda run: truncate_file(run, 3000), [], "truncated file"),
    "empty": (lambda run: truncate_file(run, 0), [], "truncated file"),
    "foreign": (replace_by_another_file, [], "another kind"),
    "no such data": (no_change, ["--path", "/nowhere/fer2013.csv"], "/nowhere/fer2013.csv"),
    "no such kind": (no_change, ["--data", "fer2012:/a"], "Did you mean 'fer2013'"),
    "no path": (no_change, ["--data", "folder"], "expected kind:path"),
    "both": (no_change, ["--data", "folder:/a", "--path", "/b"], "expected one of them, got both"),
    "ensemble of one": (no_change, ["--ensemble"], "two runs or more"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_errors_are_one_line(case, fer_evaluate, outputs, data):
    change, arguments, expected = MISTAKES[case]
    run = write_run(outputs, data)
    change(run)
    assert_rejected(fer_evaluate(run, *arguments), expected)
    assert not (run / "report").exists()


def test_a_checkpoint_is_chosen_of_run_folders_only(fer_evaluate, outputs, data):
    file = write_run(outputs, data) / "checkpoints" / "best.ckpt"
    for model, options in ((file, []), ("fer2013_48px", ["--data", "folder:none"])):
        result = fer_evaluate(model, "--checkpoint", "last", *options)
        assert_rejected(result, "--checkpoint last: expected a run folder with it")


@pytest.mark.parametrize("device", ["cuda", "mps", "openvino"])
@pytest.mark.parametrize("command", [evaluate_main, compare_main])
def test_a_device_that_torch_does_not_have_is_refused(command, device, outputs, data, monkeypatch, capsys):
    # So that pytest restores it.
    monkeypatch.setenv("FER_DEVICE", "auto")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    runs = [str(write_run(outputs, data, seed)) for seed in (0, 1)]
    with pytest.raises(SystemExit) as exit_:
        command([*runs, "--device", device])
    error = capsys.readouterr().err
    expected = f"expected a device that torch has here (auto, cpu) for a checkpoint, got '{device}'"
    assert_rejected((exit_.value.code, "", error), expected)


def assert_rejected(result, *expected):
    status, _, error = result
    assert status == 2
    assert all(text in error for text in expected)
    assert len(error.strip().splitlines()) == 1


def test_no_such_run(fer_evaluate, tmp_path):
    assert_rejected(fer_evaluate(tmp_path / "gone"), "expected a run, but the path does not exist")


def test_two_recipes_or_the_same_weights(fer_evaluate, outputs, data):
    runs = [write_run(outputs, data, 0), write_run(outputs, data, 1, optimizer={"lr": 1})]
    assert_rejected(fer_evaluate(*runs), "--ensemble", "fer-compare")
    assert_rejected(fer_evaluate(runs[0], runs[0]), "same weights")


def test_no_emotion_in_common(fer_evaluate, outputs, data):
    run = write_run(outputs, data, space=LabelSpace("own", ("contempt", "bored")))
    assert_rejected(fer_evaluate(run), "the model can predict")


def test_missing_split(fer_evaluate, outputs, data, fer2013_csv, tmp_path):
    lines = [line for line in fer2013_csv.read_text().splitlines() if "Private" not in line]
    (tmp_path / "short.csv").write_text("\n".join(lines) + "\n")
    run = write_run(outputs, data)
    assert_rejected(
        fer_evaluate(run, "--path", tmp_path / "short.csv", "--split", "test"), "expected a test split"
    )
    assert ledger(outputs) == []


def test_code_in_a_checkpoint_is_not_executed(fer_evaluate, outputs, data, tmp_path):
    run = write_run(outputs, data)
    torch.save({"state_dict": Touch(tmp_path / "touched")}, run / "checkpoints" / "best.ckpt")
    assert_rejected(fer_evaluate(run), "cannot be loaded as plain tensors")
    assert not (tmp_path / "touched").exists()


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (type(self.path).touch, (self.path,))


def test_help_needs_no_torch():
    code = (
        "import sys; from fer.evaluation.cli import evaluate_parser; evaluate_parser().format_help(); "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_ledger_that_cannot_be_written(fer_evaluate, outputs, data):
    """A test score that cannot be recorded is not shown."""
    run = write_run(outputs, data)
    (outputs / "test_ledger.jsonl").mkdir()
    status, output, error = fer_evaluate(run, "--split", "test")
    assert status == 2
    assert "accuracy" not in output
    assert not (run / "report").exists()
    assert len(error.strip().splitlines()) == 1
