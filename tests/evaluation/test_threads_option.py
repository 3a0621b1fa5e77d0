"""--threads N reaches ONNX Runtime in each command that has it; the app computes with one thread."""

import cv2
import numpy as np
import onnxruntime as ort
import pytest
import torch
from tiny_bundle import SIDE, write_bundle

from fer.core import threads
from fer.core.threads import available_cores

# The machine may have as few cores.
N = 1


@pytest.fixture
def used(monkeypatch):
    """The numbers of threads of the sessions of ONNX Runtime that are made."""
    numbers, make = [], ort.InferenceSession

    def record(path, options, **arguments):
        numbers.append(options.intra_op_num_threads)
        return make(path, options, **arguments)

    monkeypatch.setattr(ort, "InferenceSession", record)
    # So that pytest restores them.
    monkeypatch.setattr(threads, "_limit", None)
    monkeypatch.setenv("OPENCV_FOR_THREADS_NUM", "0")
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(2)
    yield numbers
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return str(write_bundle(tmp_path / "m").folder)


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("happy", "sad"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(30):
            pixels = rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
            cv2.imwrite(str(tmp_path / "images" / name / f"{number}.png"), pixels)
    return tmp_path / "images"


def run(main, *arguments):
    with pytest.raises(SystemExit) as exit_:
        main([*map(str, arguments)])
    assert not exit_.value.code


def test_fer_predict(used, model, images):
    from fer.predict.cli import main

    run(main, images / "sad" / "0.png", "--model", model, "--detector", "none", "--threads", 3)
    assert used == [3]


@pytest.mark.usefixtures("few_sections", "no_plots")
def test_fer_evaluate(used, model, images):
    from fer.evaluation.cli import evaluate_main

    run(evaluate_main, model, "--data", f"folder:{images}", "--split", "all", "--threads", N)
    assert set(used) == {N}
    # Also the threads that decode images and detect faces.
    assert (available_cores(), cv2.getNumThreads()) == (N, N)


def test_fer_benchmark(used, model, monkeypatch):
    from fer.benchmark import benchmark
    from fer.benchmark.cli import main

    monkeypatch.setattr(benchmark, "measure_startup", lambda *_: {"seconds": 0.5, "peak_megabytes": 100.0})
    monkeypatch.setattr("fer.core.timing.ROUNDS", 1)
    run(main, model, "--seconds", "0.001", "--detector", "haar", "--threads", "3,5")
    assert {3, 5} <= set(used)


def test_fer_models_calibrate(used, model, images):
    from fer.bundle.cli import main

    run(main, "calibrate", model, "--data", f"folder:{images}", "--name", "mine", "--threads", N)
    assert set(used) == {N}


def test_the_app_uses_one_thread_for_each_visitor(used, model):
    from fer.app import resources
    from fer.app.settings import Settings

    resources._load.__wrapped__(None, Settings(model=model, detector="haar"))
    assert used == [1]
