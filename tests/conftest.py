"""Fixtures shared by all tests: small runs through the public entry points, in this process."""

import gc
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
# Ray would start its workers with `uv run`, without the extra `ray`, and wait for them forever.
os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
# One core for each test process.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
# Exact expected values are those of a CPU.
if not os.environ.get("FER_TEST_GPU"):
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

import cv2
import numpy as np
import pytest
from browser import CHROMIUM, Browser
from tiny import TINY, TINY_FACES, write_votes

# Function that calls a command with arguments; returns exit status, standard output and standard error.
Command = Callable[..., tuple[Any, str, str]]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect no garbage while the tests and their libraries are imported, which leave none."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.fixture(scope="module", autouse=True)
def _frozen_imports() -> None:
    """Leave the imported libraries out of garbage collections, which take half a second with them."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Let the libraries end as they always do."""
    gc.unfreeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests in a browser as slow."""
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker("slow")


@dataclass
class Run:
    """Exit status and folder of a run of fer-train."""

    status: int
    folder: Path | None

    @property
    def record(self) -> dict[str, Any]:
        assert self.folder is not None
        return json.loads((self.folder / "run.json").read_text())


@pytest.fixture
def fer_train(tmp_path, monkeypatch, request) -> Callable[..., Run]:
    """Return a function that calls the ``main`` of fer-train with arguments; runs go under ``tmp_path``.

    Plots are rendered only for tests with the fixture `plots`.
    """
    if "plots" not in request.fixturenames:
        request.getfixturevalue("no_plots")

    def call(*arguments: str) -> Run:
        from fer.training.cli import main

        output = tmp_path / "outputs"
        before = set(output.glob("train/*/*"))
        monkeypatch.setattr(sys, "argv", ["fer-train", f"output_dir={output}", *arguments])
        with pytest.raises(SystemExit) as exit_:
            main()
        created = sorted(set(output.glob("train/*/*")) - before)
        return Run(int(exit_.value.code or 0), created[0] if created else None)

    return call


@pytest.fixture
def tiny_run(fer_train) -> Callable[..., Run]:
    """Return a function that trains on two batches of a few synthetic faces."""
    return lambda *overrides: fer_train(*TINY, *TINY_FACES, *overrides)


@pytest.fixture(scope="session")
def fer2013_csv(tmp_path_factory) -> Path:
    """Write a small fer2013.csv of noise, with FER+ votes next to it: 70 + 35 + 35 rows."""
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
    """Return a function that calls fer-evaluate and returns its status and output."""
    from fer.evaluation.cli import evaluate_main

    return _command(evaluate_main, capsys)


@pytest.fixture
def fer_export(capsys) -> Command:
    """Return a function that calls fer-export and returns its status and output."""
    from fer.export.cli import main

    return _command(main, capsys)


def _command(main: Callable[[list[str]], None], capsys: pytest.CaptureFixture[str]) -> Command:
    def call(*arguments: object) -> tuple[Any, str, str]:
        with pytest.raises(SystemExit) as exit_:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err

    return call


@pytest.fixture
def run(tmp_path, fer2013_csv) -> Path:
    """A trained run on a few images of noise."""
    from untrained_run import write_run

    return write_run(tmp_path / "outputs", {"name": "fer2013", "path": str(fer2013_csv)})


@pytest.fixture
def run_without_data(tmp_path, fer2013_csv) -> Path:
    """A trained run whose data has been deleted."""
    from untrained_run import write_run

    path = tmp_path / "moved.csv"
    path.write_bytes(fer2013_csv.read_bytes())
    run = write_run(tmp_path / "outputs", {"name": "fer2013", "path": str(path)})
    path.unlink()
    return run


@pytest.fixture(scope="session")
def onnx_files(tmp_path_factory, request) -> Path:
    """A folder for ONNX files, named by their content, which all test processes share."""
    base = tmp_path_factory.getbasetemp()
    # The processes of pytest-xdist have one parent folder.
    folder = (base.parent if hasattr(request.config, "workerinput") else base) / "onnx"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def exported_once(onnx_files, monkeypatch) -> None:
    """Export the same network only once for all tests, as that takes seconds."""
    from fer.evaluation.runs import hash_model
    from fer.export import export
    from fer.export.graph import write_onnx

    def write(network, path, about, opset=None):
        kind = f"{type(network.model).__name__}_{opset}_{network.gray}"
        parts = (hash_model(network.model)[:16], f"{network.temperature:.6f}", kind, about["name"])
        file = onnx_files / f"{'-'.join(map(str, parts))}.onnx"
        if not file.exists():
            own = file.with_suffix(f".{os.getpid()}")
            write_onnx(network, own, about, opset)
            own.rename(file)
        shutil.copyfile(file, path)

    monkeypatch.setattr(export, "write_onnx", write)


@pytest.fixture
def no_plots(monkeypatch) -> None:
    """Save a single pixel for each plot: rendering takes half the time of a small run."""
    dot = cv2.imencode(".png", np.zeros((1, 1, 3), np.uint8))[1].tobytes()
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda _, file, **options: file.write(dot))


@pytest.fixture
def plots() -> None:
    """Let runs render their plots."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Start a headless Chromium with a fake camera.

    It runs Playwright's event loop, so no test may start another one meanwhile.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright (group dev)")
    if CHROMIUM is None:
        pytest.skip("needs Chromium (apt-get install chromium) or Chrome")
    camera = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *camera])
        yield chromium
        chromium.close()


@pytest.fixture
def browser(chromium) -> Iterator[Browser]:
    """A browser tab for pages on disk."""
    browser = Browser(chromium)
    yield browser
    browser.close()
