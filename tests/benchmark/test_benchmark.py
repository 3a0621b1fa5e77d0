"""fer-benchmark: what is measured, table, JSON, plot, foreign files, and one-line errors."""

import json
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from tiny_bundle import write_bundle

from fer.benchmark import benchmark as benchmark_module
from fer.benchmark.accuracy import accuracy_of, measure_accuracy
from fer.benchmark.benchmark import Settings, benchmark
from fer.benchmark.cli import main
from fer.benchmark.frames import make_frames, read_photos
from fer.benchmark.models import find_models
from fer.benchmark.profile import profile, profile_rows
from fer.benchmark.report import markdown_table, notes, table_rows
from fer.benchmark.startup import measure_startup
from fer.benchmark.torch_network import torch_network
from fer.bundle.runtime import OnnxClassifier
from fer.core.errors import FerError
from fer.core.timing import ROUNDS, choose_clock, ratio, summarize, time_in_turns
from fer.data.readers.fer2013 import read_fer2013
from fer.data.splits import indices

STARTUP = {"seconds": 0.5, "peak_megabytes": 100.0}
QUICK = ("--seconds", "0.02", "--detector", "haar", "--threads", "1")
SPEC = """
labels: [angry, happy, sad]
input: {size: 32, color: gray, layout: nchw, scale: 1/255}
output: logits
"""


@pytest.fixture
def no_processes(monkeypatch):
    monkeypatch.setattr(benchmark_module, "measure_startup", lambda *_: STARTUP)
    monkeypatch.setattr("fer.core.timing.ROUNDS", 3)


@pytest.fixture
def command(no_processes, capsys):
    """Return a function that calls fer-benchmark; returns status, standard output and standard error."""

    def call(*arguments):
        with pytest.raises(SystemExit) as exit_:
            main([*map(str, arguments), *QUICK])
        return exit_.value.code or 0, *capsys.readouterr()

    return call


def write_foreign(folder, kind=TensorProto.FLOAT):
    """Write an ONNX file that takes gray images of 32 px, and its spec; return the file."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    weights = np.random.default_rng(0).normal(size=(32 * 32, 3)).astype(dtype)
    nodes = [helper.make_node("Flatten", ["x"], ["row"]), helper.make_node("MatMul", ["row", "w"], ["y"])]
    image = helper.make_tensor_value_info("x", kind, ["N", 1, 32, 32])
    output = helper.make_tensor_value_info("y", kind, ["N", 3])
    graph = helper.make_graph(nodes, "foreign", [image], [output], [numpy_helper.from_array(weights, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path = folder / "other.onnx"
    onnx.save(model, path)
    path.with_suffix(".yaml").write_text(SPEC)
    return path


def test_functions_take_turns():
    calls = []
    functions = [lambda: calls.append("a"), lambda: calls.append("b"), lambda: time.sleep(0.002)]
    times = time_in_turns(functions, 1e-9)
    assert times.shape == (ROUNDS, 3)
    # Once untimed, once to find the number of repeats, and once in each round, in alternating order.
    assert calls[:8] == ["a", "a", "b", "b", "b", "a", "a", "b"]
    assert len(calls) == 2 * (ROUNDS + 2)
    assert summarize(times[:, 2])["low"] >= 0.002


def test_ratio_is_paired():
    """The second half of the rounds ran beside another process."""
    own, load = np.array([1.0, 1.1, 0.9, 1.0]), np.array([1, 1, 5, 5])
    assert ratio(3 * own * load, own * load) == pytest.approx(3)


def test_table_json_and_plot(command, tmp_path):
    first, second = (
        write_bundle(tmp_path / name, name=name, accuracy=a) for name, a in (("one", 0.6), ("two", 0.7))
    )
    target, plot = tmp_path / "speed.json", tmp_path / "speed.svg"
    status, out, err = command(first.folder, second.folder, "--json", target, "--plot", plot)
    assert (status, err) == (0, "")
    assert "one face at a time, 1 thread, ms per face" in out
    assert "640 x 480 frame" in out
    assert "accuracy on PublicTest, n = 3,589" in out
    assert "validation, selection split" in out
    result = json.loads(target.read_text())
    assert [model["name"] for model in result["models"]] == ["one", "two"]
    model = result["models"][1]
    assert model["file_bytes"] == second.model_path.stat().st_size
    assert model["accuracy"]["value"] == 0.7
    assert model["startup"] == STARTUP
    assert [(call["threads"], call["batch_size"]) for call in model["calls"]] == [(1, 1), (1, 64)]
    for call in model["calls"]:
        assert 0 < call["low"] <= call["milliseconds"] <= call["high"]
        assert call["faces_per_second"] == pytest.approx(1e3 / call["milliseconds"])
    assert result["models"][0]["calls"][0]["times_as_long"] == 1
    assert min(model["frame"]["milliseconds"], model["frame"]["detector_milliseconds"]) > 0
    assert model["frame"]["detector"] == "haar"
    assert "<svg" in plot.read_text()


def test_json_on_standard_output(command, tmp_path):
    status, out, err = command(write_bundle(tmp_path / "m").folder, "--json", "-")
    assert status == 0
    machine = json.loads(out)["machine"]
    assert machine["device"] == "cpu"
    assert machine["runtime"].endswith("(CPUExecutionProvider)")
    assert "ms per face" in err


def test_foreign_files_and_markdown(command, tmp_path):
    path = write_foreign(tmp_path)
    status, out, _ = command(write_bundle(tmp_path / "m").folder, "--onnx", path, "--markdown")
    assert status == 0
    header, line, *rows = out.splitlines()
    assert (header, line) == ("|  | tiny | other |", "| --- | --- | --- |")
    assert "| precision | fp32 | unknown |" in rows
    assert any(row.startswith("| accuracy on PublicTest") and row.endswith("unknown |") for row in rows)


def test_models_with_the_same_name_are_called_by_their_folder(tmp_path):
    bundles = [write_bundle(tmp_path / run / "bundle") for run in ("a", "b")]
    assert [model.name for model in find_models([str(one.folder) for one in bundles])] == ["a/tiny", "b/tiny"]
    with pytest.raises(FerError, match="expected different models, got tiny twice"):
        find_models([str(bundles[0].folder)] * 2)


def test_without_names_the_models_of_the_package():
    assert [model.name for model in find_models([])] == ["fer2013", "fer2013_48px"]


def test_the_frame_has_a_face_and_photographs_are_not_enlarged(tmp_path):
    import cv2

    (frame,) = make_frames()
    assert frame.shape == (480, 640, 3)
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.full((100, 50, 3), 200, np.uint8))
    (frame,) = make_frames(read_photos([photo]))
    assert (frame == 200).all(2).sum() == 5000


def test_waiting_for_cores_is_said():
    frame = {"faces_per_frame": 0}
    machine = {"processor": "P", "cores": 2, "system": "S", "runtime": "R"}
    result = {
        "machine": machine,
        "models": [{"accuracy": None, "frame": frame, "calls": []}],
        "waited": 0.4,
    }  # fmt: skip
    assert "threads waited 40% of the time" in notes(result)[-1]
    assert "found no face" in notes(result)[-2]
    assert len(notes(result | {"waited": None})) == 2


def test_torch_is_timed_where_the_card_has_the_recipe():
    (model,) = find_models(["fer2013_48px"])
    card = model.load(1, "cpu").card
    settings = Settings(threads=(1,), detector="haar", seconds=0.001, torch=torch_network)
    calls = [benchmark_module._time_calls([model], [card], settings, "cpu", 1, 1)[0]]
    assert calls[0]["torch_times_as_long"] > 1


def test_torch_needs_a_recipe(tmp_path):
    assert torch_network(write_bundle(tmp_path / "m").card, 1, 1) is None


def test_start_up_is_that_of_a_new_process(tmp_path, monkeypatch):
    monkeypatch.setattr("fer.benchmark.startup._STARTS", 1)
    (model,) = find_models([str(write_bundle(tmp_path / "m").folder)])
    start = measure_startup(model, "cpu", "haar", None)
    assert 0.05 < start["seconds"] < 60
    # Python, NumPy, OpenCV and ONNX Runtime, and no torch.
    assert 40 < start["peak_megabytes"] < 300


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing"], "missing: expected"),
        (["--onnx", "missing.onnx"], "missing.onnx: expected an ONNX file, but there is none"),
        (["--onnx", "{file}", "--spec", "a", "--spec", "b"], "--spec: expected one for each --onnx"),
        (["--onnx", "{file}", "--spec", "no.yaml"], "no.yaml: expected a spec in YAML, cannot read it"),
        (["--device", "coreml"], "device: expected a device that is installed"),
        (["--json", "missing/speed.json"], "--json missing/speed.json: expected a folder that exists"),
        (["--plot", "speed.txt"], "--plot speed.txt: expected a file that ends in .svg"),
        (["--photos", "missing"], "--photos missing: expected a folder with images"),
    ],
)
def test_errors_are_one_line(command, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    file = write_foreign(tmp_path)
    status, out, err = command(*(argument.format(file=file) for argument in arguments))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_table_of_a_result_that_was_stored(no_processes, tmp_path):
    """The documentation's table is made of the JSON file."""
    settings = Settings(threads=(1,), detector="haar", seconds=0.001)
    result = benchmark(find_models([str(write_bundle(tmp_path / "m").folder)]), settings)
    rows = table_rows(json.loads(json.dumps(result)))
    assert markdown_table(rows).splitlines()[2] == "| precision | fp32 |"


def test_a_folder_of_photographs(command, tmp_path, monkeypatch):
    import cv2

    monkeypatch.setattr("fer.benchmark.frames._FOLDER_ROUNDS", 1)
    (tmp_path / "photos").mkdir()
    cv2.imwrite(str(tmp_path / "photos" / "a.png"), make_frames()[0][100:340, 200:440, ::-1])
    arguments = (
        "--photos",
        tmp_path / "photos",
        "--json",
        tmp_path / "s.json",
        "--onnx",
        write_foreign(tmp_path),
    )
    status, out, _ = command(write_bundle(tmp_path / "m").folder, *arguments)
    assert status == 0
    assert "photographs/s from files, 1 thread" in out
    bundle, foreign = json.loads((tmp_path / "s.json").read_text())["models"]
    assert bundle["photos"]["photos_per_second"] > 0
    assert bundle["photos"]["times_as_long"] > 0
    assert "photos" not in foreign


def test_a_damaged_photograph_is_an_error_before_anything_is_timed(command, tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"damaged")
    monkeypatch.setattr(benchmark_module, "_time_calls", None)
    status, out, error = command(write_bundle(tmp_path / "m").folder, "--photos", tmp_path / "photos")
    assert (status, out, error.count("\n")) == (2, "", 1)
    assert "a.png" in error


def test_of_many_photographs_as_many_are_timed_as_fit_into_memory(tmp_path, monkeypatch):
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path in paths:
        Image.fromarray(np.zeros((10, 10, 3), np.uint8)).save(path)
    monkeypatch.setattr("fer.benchmark.frames._MAX_BYTES", 700)
    assert len(read_photos(paths)) == 3


def test_a_card_whose_accuracy_is_null_has_none(tmp_path):
    card = write_bundle(tmp_path / "m").card
    card.metrics["val"]["figures"]["accuracy"]["value"] = None
    assert accuracy_of(card) is None


def test_accuracy_is_measured_on_the_same_images(command, tmp_path, fer2013_csv):
    bundle, target = write_bundle(tmp_path / "m"), tmp_path / "s.json"
    options = ("--onnx", write_foreign(tmp_path), "--data", f"fer2013:{fer2013_csv}", "--json", target)
    status, out, _ = command(bundle.folder, *options)
    assert status == 0
    data = read_fer2013(fer2013_csv)
    rows = indices(data, "val")
    probs = OnnxClassifier(bundle, 1)(np.repeat(data.images[rows], 3, axis=3))
    ours, foreign = (model["accuracy"] for model in json.loads(target.read_text())["models"])
    assert ours["value"] == pytest.approx((probs.argmax(1) == data.targets[rows]).mean())
    assert (ours["images"], ours["n"], ours["measured"]) == ("PublicTest", len(rows), True)
    # The card's images are others, and what a foreign file was selected on is not known.
    assert (ours["selection_split"], foreign["selection_split"]) == (False, None)
    assert "selection split" not in out


def test_a_test_split_is_left_to_fer_evaluate(command, tmp_path, monkeypatch, fer2013_csv):
    monkeypatch.setattr("fer.evaluation.data.default_role", lambda data: "test")
    status, _, error = command(write_bundle(tmp_path / "m").folder, "--data", f"fer2013:{fer2013_csv}")
    assert (status, error.count("\n")) == (2, 1)
    assert "Score it with fer-evaluate, which records that" in error


def test_profile_by_operator(command, tmp_path):
    target = tmp_path / "s.json"
    options = ("--onnx", write_foreign(tmp_path), "--profile", "--json", target)
    status, out, _ = command(write_bundle(tmp_path / "m").folder, *options)
    assert status == 0
    assert "tiny, one face, by operator:" in out
    ours, foreign = (model["profile"] for model in json.loads(target.read_text())["models"])
    assert {"Gemm", "Softmax"} <= {entry["operator"] for entry in ours}
    assert "MatMul" in {entry["operator"] for entry in foreign}
    for entries in (ours, foreign):
        assert sum(entry["share"] for entry in entries) == pytest.approx(1)
        assert entries == sorted(entries, key=lambda entry: -entry["microseconds"])


def test_a_model_in_double_precision_has_a_profile(tmp_path):
    (model,) = find_models([], [str(write_foreign(tmp_path, TensorProto.DOUBLE))])
    assert "MatMul" in {entry["operator"] for entry in profile(model)}


def test_small_operators_are_added_up():
    entries = [
        {"operator": "Conv", "number": 2, "microseconds": 990.0, "share": 0.99},
        {"operator": "Relu", "number": 1, "microseconds": 6.0, "share": 0.006},
        {"operator": "Add", "number": 3, "microseconds": 4.0, "share": 0.004},
    ]
    rows = profile_rows(entries)
    assert rows[1:] == [
        ("Conv, 2", "990", "99.0 %"),
        ("others, 4", "10", "1.0 %"),
        ("all", "1,000", "100.0 %"),
    ]


def test_with_one_thread_the_time_of_other_processes_does_not_count():
    clock = choose_clock("cpu", 1)
    if clock is not time.perf_counter:
        assert time_in_turns([lambda: time.sleep(0.01)], 1e-9, 3, clock).max() < 0.005
    assert choose_clock("cpu", 2) is choose_clock("cuda", 1) is time.perf_counter


def test_the_table_of_the_documentation_is_that_of_the_stored_result():
    docs = Path(__file__).resolve().parents[2] / "docs"
    rows = table_rows(json.loads((docs / "speed.json").read_text()))
    assert markdown_table(rows) in (docs / "speed.md").read_text()


def test_the_accuracy_is_measured_on_the_device(tmp_path):
    model = find_models([str(write_bundle(tmp_path / "m").folder)])[0]
    with pytest.raises(FerError, match="expected a device that is installed"):
        measure_accuracy([model], "folder:none", "coreml")


def test_torch_runs_on_the_gpu_if_the_bundle_does(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    card = find_models(["fer2013"])[0].load(1, "cpu").card
    with pytest.raises(FerError, match="--torch: expected a GPU for torch as well"):
        torch_network(card, 1, 1, "cuda")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--torch"], "--torch: expected a model whose card has its recipe, got only foreign files"),
        (["--plot", "speed.svg"], "--plot: expected a model whose card has its accuracy, got none"),
        (["--detector-model", "x.onnx"], "error: --detector-model: the detector haar takes no file"),
    ],
)
def test_options_without_effect_are_refused_before_anything_is_timed(
    command, tmp_path, monkeypatch, options, message
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(benchmark_module, "measure_startup", None)
    status, out, err = command("--onnx", write_foreign(tmp_path), *options)
    assert (status, out) == (2, "")
    assert message in err
