"""Throw-away environments: other ONNX runtimes, OpenCV 5, and PyPI's `fer`, which has the same import name.

A test is skipped if it cannot download its packages.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from random_weights import random_network

import fer
from fer.bundle.runtime import open_session
from fer.calibrate.graph import change_calibration
from fer.data.synthetic import face_at, read_synthetic, render_face
from fer.export.graph import Ensemble, ExportModel, write_onnx

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("environments")]
ROOT = Path(__file__).resolve().parent.parent
ZOO = Path(fer.__file__).parent / "zoo"
SHIPPED = ("fer2013", "fer2013_48px")
# fp32 models by the size of the network: images of 48 px are downscaled or enlarged.
EXPORTED = {
    "small": (40, lambda: random_network("fast_cnn", 40)),
    "large": (80, lambda: random_network("fast_cnn", 80)),
    "ensemble": (48, lambda: Ensemble([random_network("fast_cnn", 48), random_network("baseline_cnn", 48)])),
    "attention": (48, lambda: random_network("fast_cnn", 48, attention="spatial")),
}
# Largest difference of a probability from the newest ONNX Runtime. In int8, a value that lies between two
# steps is rounded in another way by each runtime.
FP32, INT8 = 1e-4, 0.1
NETWORK_ERRORS = ("error sending request", "dns error", "Failed to fetch", "ENOTFOUND", "EAI_AGAIN", "ECONN",
                  "ETIMEDOUT")  # fmt: skip

RUN_ONNX = """
import json, sys
import numpy as np

def onnxruntime(path, faces):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], {"faces": faces})[0]

def openvino(path, faces):
    import openvino
    # Its default is bf16, on processors that have it.
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    return openvino.Core().compile_model(path, "CPU", options)({"faces": faces})["probabilities"]

def opencv(path, faces):
    import cv2
    network = cv2.dnn.readNetFromONNX(path)
    network.setInput(faces, "faces")
    return network.forward("probabilities")

faces, target, runtime, *paths = sys.argv[1:]
faces = np.load(faces)
np.save(target, np.stack([globals()[runtime](path, faces) for path in paths]))
"""
RUN_WEB = """
const ort = require('onnxruntime-web'), fs = require('fs');
const [faces, shape, target, ...paths] = process.argv.slice(2);
(async () => {
  ort.env.wasm.numThreads = 1;
  const input = new ort.Tensor('uint8', new Uint8Array(fs.readFileSync(faces)), JSON.parse(shape));
  const outputs = [];
  for (const path of paths) {
    const session = await ort.InferenceSession.create(new Uint8Array(fs.readFileSync(path)));
    outputs.push(Array.from((await session.run({faces: input})).probabilities.data));
  }
  fs.writeFileSync(target, JSON.stringify(outputs));
})();
"""


def run(*command, cwd, **variables):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | variables
    return subprocess.run([str(part) for part in command], cwd=cwd, env=environment, text=True,
                          capture_output=True, timeout=200)  # fmt: skip


def install(*command, cwd):
    """Run an installer; skip the test if it cannot reach its index."""
    # A test imports few of the files.
    result = run(*command, cwd=cwd, UV_COMPILE_BYTECODE="0")
    if result.returncode and any(text in result.stderr for text in NETWORK_ERRORS):
        pytest.skip(f"{command[0]} cannot reach its index: {result.stderr.strip().splitlines()[-1]}")
    assert result.returncode == 0, result.stderr


class Environment:
    """A virtual environment in a folder."""

    def __init__(self, folder):
        self.folder, self.bin = folder, folder / ".venv" / ("Scripts" if os.name == "nt" else "bin")
        folder.mkdir(exist_ok=True)
        install("uv", "venv", "-q", "--python", sys.executable, ".venv", cwd=folder)

    def install(self, *packages):
        install("uv", "pip", "install", "-q", "--python", self.bin / "python", *packages, cwd=self.folder)

    def run(self, program, *arguments, **variables):
        return run(self.bin / program, *arguments, cwd=self.folder, **variables)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Return model files, whether each is int8, faces, and their probabilities in this ONNX Runtime."""
    folder = tmp_path_factory.mktemp("models")
    paths = [ZOO / name / "model.onnx" for name in SHIPPED]
    for name, (size, build) in EXPORTED.items():
        write_onnx(ExportModel(build(), True, 1.3, 48, size), folder / f"{name}.onnx", {})
        paths.append(folder / f"{name}.onnx")
        if name == "small":
            paths.append(folder / "calibrated.onnx")
            change_calibration(paths[-2], paths[-1], (1.3, 2.0), np.linspace(-1, 1, 7), {})
    faces = np.array(read_synthetic(32, 0, 0, 48, True, seed=3, num_workers=1).images)
    np.save(folder / "faces.npy", faces)
    probs = [open_session(path).run(["probabilities"], {"faces": faces})[0] for path in paths]
    return folder, paths, faces, np.stack(probs)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    install("uv", "build", "--wheel", "--quiet", "--out-dir", folder, ROOT, cwd=folder)
    return next(folder.glob("*.whl"))


def check_outputs(probs, expected):
    difference = np.abs(probs.reshape(expected.shape) - expected).max((1, 2))
    assert (difference[: len(SHIPPED)] <= INT8).all(), difference
    assert (difference[len(SHIPPED) :] <= FP32).all(), difference
    same = probs.reshape(expected.shape).argmax(2) == expected.argmax(2)
    margins = np.diff(np.sort(expected, axis=2)[..., -2:], axis=2)[..., 0]
    assert same[margins > INT8].all()


def check_runtime(environment, runtime, models, number=None):
    """Compare the outputs of the first ``number`` models."""
    folder, paths, _, expected = models
    paths, expected = paths[:number], expected[:number]
    target = environment.folder / f"{runtime}.npy"
    result = environment.run("python", "-c", RUN_ONNX, folder / "faces.npy", target, runtime, *paths)
    assert result.returncode == 0, result.stderr
    check_outputs(np.load(target), expected)


def test_models_run_on_the_oldest_onnx_runtime_and_on_openvino(models, tmp_path):
    """1.15 is the first ONNX Runtime with wheels for Python 3.11."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip("ONNX Runtime 1.15 has wheels up to Python 3.11")
    environment = Environment(tmp_path / "old")
    environment.install("onnxruntime==1.15.0", "numpy<2", "openvino==2026.4.1")
    check_runtime(environment, "onnxruntime", models)
    check_runtime(environment, "openvino", models)


def test_models_run_on_opencv(models):
    _, paths, faces, expected = models
    outputs = []
    for path in paths:
        network = cv2.dnn.readNetFromONNX(str(path))
        network.setInput(faces, "faces")
        outputs.append(network.forward("probabilities"))
    check_outputs(np.stack(outputs), expected)


def test_models_run_on_onnxruntime_web(models, tmp_path):
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed")
    _, paths, faces, expected = models
    (tmp_path / "package.json").write_text('{"name": "web", "version": "1.0.0"}')
    install("npm", "install", "--no-audit", "--no-fund", "onnxruntime-web@1.30.0", cwd=tmp_path)
    faces.tofile(tmp_path / "faces.bin")
    (tmp_path / "run.js").write_text(RUN_WEB)
    shape = json.dumps(faces.shape)
    result = run("node", "run.js", "faces.bin", shape, "outputs.json", *paths, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    check_outputs(np.array(json.loads((tmp_path / "outputs.json").read_text())), expected)


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """Return an image file with one synthetic face."""
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    image = cv2.copyMakeBorder(render_face(face_at(0, 0, 0, 0.0)[0], 160)[0], *[80] * 4, cv2.BORDER_REPLICATE)
    cv2.imwrite(str(path), image[..., ::-1])
    return path


def test_a_release_is_valid_and_predicts_with_its_own_dependencies(photo, tmp_path):
    """As the checklist of docs/release.md: build, check, install, predict."""
    install("uv", "build", "--quiet", "--out-dir", tmp_path / "dist", ROOT, cwd=tmp_path)
    (wheel,), (source,) = (tuple((tmp_path / "dist").glob(pattern)) for pattern in ("*.whl", "*.tar.gz"))
    tools = Environment(tmp_path / "tools")
    tools.install("twine")
    result = tools.run("twine", "check", "--strict", wheel, source)
    assert (result.returncode, result.stdout.count("PASSED")) == (0, 2), result.stdout + result.stderr

    environment = Environment(tmp_path / "release")
    environment.install(wheel)
    result = environment.run("fer-predict", "--version")
    assert result.stdout == f"fer-predict {wheel.name.split('-')[1]}\n"
    result = environment.run("fer-predict", photo, "--detector", "none", "--json", "-")
    assert result.returncode == 0, result.stderr
    (face,) = json.loads(result.stdout)["faces"]
    (expected,) = fer.Predictor(detector="none")(photo)
    assert face["label"] == expected.label
    assert face["probabilities"] == pytest.approx(expected.probabilities, abs=INT8)
    for module in ("torch", "hydra", "streamlit"):
        assert environment.run("python", "-c", f"import {module}").returncode, f"{module} is installed"


def test_prediction_with_opencv_5(models, wheel, photo, tmp_path):
    """OpenCV 5 has no cascades, and crops that differ by one gray level."""
    environment = Environment(tmp_path / "opencv5")
    environment.install("numpy<2.5", "onnxruntime>=1.32", "pillow", "opencv-python-headless==5.0.0.93")
    environment.install("--no-deps", wheel)
    # It cannot multiply a feature map by an attention map.
    check_runtime(environment, "opencv", models, -1)
    for detector in ("none", *(["yunet"] if "FER_YUNET_MODEL" in os.environ else [])):
        arguments = ("--detector", detector, "--json", "out.jsonl", "--annotate", "annotated")
        result = environment.run("fer-predict", photo, *arguments)
        assert (result.returncode, result.stderr) == (0, "")
        (face,) = json.loads((environment.folder / "out.jsonl").read_text())["faces"]
        (expected,) = (prediction.to_dict() for prediction in fer.Predictor(detector=detector)(photo))
        assert face["box"] == pytest.approx(expected["box"], abs=0.1)
        assert face["label"] == expected["label"]
        assert face["probabilities"] == pytest.approx(expected["probabilities"], abs=INT8)
    result = environment.run("fer-predict", photo, "--detector", "haar")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "expected OpenCV 4, got OpenCV 5" in result.stderr


def test_pypi_fer_in_the_same_environment(wheel, tmp_path):
    """Whichever is installed second, and also when the other is uninstalled, one line says what to do."""
    environment = Environment(tmp_path / "both")
    environment.install("numpy<2.5", "onnxruntime>=1.32", "pillow", "opencv-python-headless<5")
    environment.install("--no-deps", wheel)
    environment.install("--no-deps", "fer==25.10.3")
    check_broken(environment, "that of PyPI's fer 25.10.3")
    environment.install("--no-deps", "--reinstall", wheel)
    result = environment.run("python", "-W", "error", "-c", "import fer")
    assert "PyPI's fer in the same folder" in result.stderr.strip().splitlines()[-1]
    result = environment.run("python", "-W", "ignore", "-c", "from fer import FER")
    assert "another project with the same import name" in result.stderr.strip().splitlines()[-1]
    install("uv", "pip", "uninstall", "-q", "--python", environment.bin / "python", "fer", cwd=tmp_path)
    check_broken(environment, "no file")


def check_broken(environment, got):
    commands = [("fer-predict", "photo.jpg"), ("fer-models", "list"), ("fer-train",), ("fer-evaluate", "run"),
                ("fer-compare", "a", "b"), ("fer-export", "run"), ("fer-app",),
                ("fer-sweep-report", "x")]  # fmt: skip
    for command in commands:
        result = environment.run(*command)
        assert (result.returncode, result.stderr.count("\n")) == (2, 1), (command, result.stderr)
        assert f"expected __init__.py of fer-lightning, got {got}. Run pip uninstall" in result.stderr
