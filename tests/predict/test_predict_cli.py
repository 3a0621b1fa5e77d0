"""fer-predict, called through its main function, with a model of colours."""

import csv
import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from color_bundle import PatchDetector, expected, patches, write_bundle
from PIL import Image
from video_files import read_video, write_video

import fer.predict.predictor
from fer.core.errors import FerError
from fer.core.labels import FER7
from fer.data.synthetic.samples import SAMPLES, render_sample
from fer.faces.base import Face
from fer.faces.detectors import choose_detector
from fer.predict.cli import main
from fer.predict.images import bar, copy_paths, write_image
from fer.predict.sources import is_video_source, list_images

RED, BLUE, GREY = (255, 0, 0), (0, 0, 255), (90, 90, 90)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("models") / "colours")


@pytest.fixture
def fer_predict(bundle, monkeypatch, capsys):
    """Call ``fer-predict`` with the colour model and the patch detector; return status, output, errors."""
    monkeypatch.setattr(fer.predict.predictor, "choose_detector", lambda name, file: PatchDetector())

    def call(*arguments):
        with pytest.raises(SystemExit) as exit_:
            main(["--model", str(bundle), *map(str, arguments)])
        return exit_.value.code, *capsys.readouterr()

    return call


@pytest.fixture
def photos(tmp_path):
    """A folder of four images: one in a subfolder, one without a face, one truncated."""
    folder = tmp_path / "photos"
    (folder / "children").mkdir(parents=True)
    Image.fromarray(patches(RED, BLUE)).save(folder / "b.png")
    Image.fromarray(patches(None)).save(folder / "none.png")
    Image.fromarray(patches(GREY)).save(folder / "children" / "a.webp", lossless=True)
    (folder / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    return folder


def test_one_line_per_face(fer_predict, photos):
    status, output, _ = fer_predict(photos / "b.png")
    head, first, second = output.splitlines()
    assert status == 0
    assert head == "model colours:3 (7 emotions, fp32), faces by patches"
    assert first.split()[1:5] == ["1", "angry", "98", "%"]
    assert second.split()[1:4] == ["2", "sad", "98"]
    assert first.count("█") == 19


def test_uncertain_and_missing_faces_are_printed(fer_predict, photos):
    assert "uncertain" in fer_predict(photos / "children" / "a.webp")[1]
    status, output, _ = fer_predict(photos / "none.png")
    assert status == 0
    assert "no face found" in output
    assert fer_predict(photos / "none.png", "--strict")[0] == 3
    assert fer_predict(photos / "b.png", "--strict")[0] == 0


def test_the_threshold_can_be_chosen(fer_predict, photos):
    image = photos / "children" / "a.webp"
    assert "uncertain" not in fer_predict(image, "--threshold", "0")[1]
    assert "uncertain" in fer_predict(photos / "b.png", "--threshold", "1")[1]


def test_a_model_without_a_threshold_says_so_and_still_counts_its_answers(fer_predict, tmp_path):
    Image.fromarray(patches(RED, RED, BLUE)).save(tmp_path / "a.png")
    Image.fromarray(patches(BLUE)).save(tmp_path / "b.png")
    images, bundle = (tmp_path / "a.png", tmp_path / "b.png"), write_bundle(tmp_path / "m", None)
    output = fer_predict(*images, "--model", bundle)[1]
    assert "4 faces, all uncertain: 2 angry, 2 sad\n" in output
    assert "colours:3 has no threshold for its confidence" in output
    assert "--threshold 0.7" in output
    assert "no threshold" not in fer_predict(*images, "--model", bundle, "--threshold", "0.7")[1]


def test_small_images_without_a_face_may_be_cropped_faces(fer_predict, photos, tmp_path):
    assert "1 image without a face of at most 128 pixels" in fer_predict(photos / "none.png")[1]
    Image.fromarray(np.full((300, 300, 3), 255, np.uint8)).save(tmp_path / "large.png")
    assert "--detector none" not in fer_predict(tmp_path / "large.png")[1]


def test_the_better_detector_is_named_where_haar_was_not_chosen(fer_predict, photos, monkeypatch):
    monkeypatch.setattr(PatchDetector, "name", "haar")
    assert "--detector yunet downloads it" in fer_predict(photos / "b.png")[1]
    assert "hint" not in fer_predict(photos / "b.png", "--detector", "haar")[1]


def test_a_tiny_face_is_marked(fer_predict, photos, monkeypatch):
    assert "tiny face," not in fer_predict(photos / "b.png")[1]
    monkeypatch.setattr(PatchDetector, "__call__", lambda self, image: [Face((0, 0, 20, 23), 0.9)])
    assert "tiny face, 20 pixels" in fer_predict(photos / "b.png")[1]


def test_a_face_that_is_sideways_is_found_and_drawn_where_it_is(fer_predict, tmp_path, monkeypatch):
    monkeypatch.setattr(fer.predict.predictor, "choose_detector", choose_detector)
    image = np.rot90(render_sample(SAMPLES[0]))
    Image.fromarray(image).save(tmp_path / "a.png")
    outputs = {name: tmp_path / f"out.{name}" for name in ("jsonl", "csv", "png")}
    arguments = ["--json", outputs["jsonl"], "--csv", outputs["csv"], "--annotate", outputs["png"]]
    status, output, _ = fer_predict(tmp_path / "a.png", "--detector", "haar", *arguments)
    assert status == 0
    assert "found after turning the image by 90 degrees" in output
    (face,) = json.loads(outputs["jsonl"].read_text())["faces"]
    assert face["rotation"] == 90
    (row,) = csv.DictReader(outputs["csv"].open())
    assert row["rotation"] == "90"
    left, top, width, height = (round(value) for value in face["box"])
    drawn = np.asarray(Image.open(outputs["png"]).convert("RGB")).astype(int)
    changed = np.abs(drawn - image).sum(2) > 30
    rows = slice(top + height // 4, top + height * 3 // 4)
    # The sides of the box, also if they are dashed, and nothing between them.
    for side in (left, left + width):
        assert changed[rows, side - 3 : side + 3].any(1).mean() > 0.3
    assert not changed[rows, left + 10 : left + width - 10].any()


def test_all_emotions_are_listed_on_request(fer_predict, photos):
    output = fer_predict(photos / "children" / "a.webp", "--all")[1].splitlines()[2:]
    assert [line.split()[0] for line in output] == list(FER7.names)
    percentages = [int(line.split()[1]) for line in output]
    assert percentages == [round(100 * prob) for prob in expected(GREY)]


def test_a_folder_with_unreadable_files_is_processed(fer_predict, photos, tmp_path):
    status, output, errors = fer_predict(photos, "--json", tmp_path / "new" / "out.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "new" / "out.jsonl").read_text().splitlines()]
    assert status == 1
    assert [Path(row["file"]).name for row in rows] == ["b.png", "a.webp", "cut.jpg", "none.png"]
    assert all(row["model"] == "colours:3" and row["detector"] == "patches" for row in rows)
    assert rows[0]["size"] == [64, 32]
    assert [face["label"] for face in rows[0]["faces"]] == ["angry", "sad"]
    assert "cut.jpg" in rows[2]["error"]
    assert "faces" not in rows[2]
    assert rows[3]["faces"] == []
    assert "4 images, without a face: 1, unreadable: 1\n3 faces: 1 angry, 1 sad, 1 uncertain\n" in output
    assert len(errors.splitlines()) == 1
    assert "cut.jpg" in errors


def test_csv_has_a_row_for_each_face_and_for_each_image_without(fer_predict, photos, tmp_path):
    _, output, _ = fer_predict(photos, "--csv", tmp_path / "out.csv", "--json", tmp_path / "out.jsonl")
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(Path(row["file"]).name, row["face"], row["label"]) for row in rows] == [
        ("b.png", "1", "angry"),
        ("b.png", "2", "sad"),
        ("a.webp", "1", rows[2]["label"]),
        ("cut.jpg", "", ""),
        ("none.png", "", ""),
    ]
    assert "cut.jpg" in rows[3]["error"]
    assert rows[2]["uncertain"] == "true"
    entries = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    face = entries[0]["faces"][1]
    assert face["face"] == 2
    assert [float(rows[1][name]) for name in FER7.names] == list(face["probabilities"].values())
    assert [float(rows[1][name]) for name in ("left", "top", "width", "height")] == face["box"]
    assert f"results      {tmp_path / 'out.csv'}" in output


def test_results_on_standard_output_are_not_mixed_with_text(fer_predict, photos):
    _, output, errors = fer_predict(photos, "--json", "-")
    assert [Path(json.loads(line)["file"]).name for line in output.splitlines()] == [
        "b.png",
        "a.webp",
        "cut.jpg",
        "none.png",
    ]
    assert "3 faces: 1 angry, 1 sad, 1 uncertain" in errors
    _, output, _ = fer_predict(photos / "b.png", "--csv", "-")
    assert [line.split(",")[1] for line in output.splitlines()] == ["face", "1", "2"]


def test_an_image_from_standard_input(fer_predict, tmp_path, monkeypatch):
    content = io.BytesIO()
    Image.fromarray(patches(RED, BLUE)).save(content, "PNG")
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content.getvalue())))
    status, output, _ = fer_predict("-", "--json", "-", "--annotate", tmp_path / "copy.png")
    assert status == 0
    assert [face["label"] for face in json.loads(output)["faces"]] == ["angry", "sad"]
    assert Image.open(tmp_path / "copy.png").size == (64, 32)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"no image")))
    assert fer_predict("-")[0] == 2


def test_faces_are_numbered_by_rows_from_left_to_right(fer_predict, photos, tmp_path, monkeypatch):
    """The largest face is found first; the numbers of all outputs are by position."""
    boxes = [(34, 2, 28, 28), (2, 1, 20, 20), (20, 34, 24, 24), (48, 31, 12, 14)]
    monkeypatch.setattr(PatchDetector, "__call__", lambda self, image: [Face(box, 0.9) for box in boxes])
    drawn = []
    monkeypatch.setattr(
        "fer.predict.images.draw",
        lambda image, faces, names, bars: drawn.append((names, [face.face.box for face in faces])) or image,
    )
    Image.new("RGB", (64, 64)).save(tmp_path / "four.png")
    arguments = ["--json", tmp_path / "out.jsonl", "--annotate", tmp_path / "copies"]
    assert fer_predict(tmp_path / "four.png", *arguments)[0] == 0
    ordered = [boxes[1], boxes[0], boxes[2], boxes[3]]
    assert drawn == [(["#1", "#2", "#3", "#4"], ordered)]
    faces = json.loads((tmp_path / "out.jsonl").read_text())["faces"]
    assert [(face["face"], tuple(face["box"])) for face in faces] == list(enumerate(ordered, 1))


def test_status_2_if_no_image_can_be_read(fer_predict, photos):
    status, _, errors = fer_predict(photos / "cut.jpg")
    assert status == 2
    assert errors.startswith("error: ")
    assert len(errors.splitlines()) == 1


def test_copies_keep_the_folder_tree_and_never_overwrite_an_image(fer_predict, photos, tmp_path):
    before = {path: path.read_bytes() for path in photos.rglob("*.*")}
    # The second time, the folder contains the copies, which are skipped.
    for _ in range(2):
        assert fer_predict(photos, "--annotate", photos / "annotated")[0] == 1
        copies = {str(path.relative_to(photos / "annotated")) for path in (photos / "annotated").rglob("*.*")}
        assert copies == {"b.png", "children/a.webp", "none.png"}
    assert all(path.read_bytes() == content for path, content in before.items())
    annotated = np.array(Image.open(photos / "annotated" / "b.png"))
    assert annotated.shape == (32, 64, 3)
    assert (annotated != patches(RED, BLUE)).any()
    assert fer_predict(photos / "b.png", "--annotate", tmp_path / "one.jpg")[0] == 0
    assert Image.open(tmp_path / "one.jpg").size == (64, 32)
    status, _, errors = fer_predict(photos / "b.png", "--annotate", photos)
    assert status == 2
    assert "would overwrite" in errors
    assert (photos / "b.png").read_bytes() == before[photos / "b.png"]


@pytest.mark.parametrize(
    "arguments", [["{}/b.png", "{}/x/b.png", "--annotate", "{}/x"], ["{}/b.png", "--json", "{}/b.png"]]
)
def test_input_images_are_never_overwritten(fer_predict, photos, arguments):
    (photos / "x").mkdir()
    Image.fromarray(patches(BLUE)).save(photos / "x" / "b.png")
    before = {path: path.read_bytes() for path in photos.rglob("*.png")}
    status, _, errors = fer_predict(*(argument.format(photos) for argument in arguments))
    assert status == 2
    assert "would overwrite this input image" in errors
    assert {path: path.read_bytes() for path in photos.rglob("*.png")} == before


def test_a_rejected_command_keeps_the_existing_output(fer_predict, photos, tmp_path):
    (tmp_path / "out.jsonl").write_text("existing\n")
    arguments = ["--json", tmp_path / "out.jsonl", "--annotate", photos]
    assert fer_predict(photos / "b.png", *arguments)[0] == 2
    assert (tmp_path / "out.jsonl").read_text() == "existing\n"


def test_a_copy_too_large_for_its_format_is_an_error(tmp_path):
    with pytest.raises(FerError, match="too large for this format"):
        write_image(tmp_path / "a.webp", np.zeros((2, 16_400, 3), np.uint8))


def test_progress_is_cleared_before_the_summary(photos, fer_predict, monkeypatch):
    order = []
    monkeypatch.setattr("fer.predict.images.Progress.clear", lambda _: order.append("clear"))
    monkeypatch.setattr("fer.predict.images._print_summary", lambda *_: order.append("summary"))
    fer_predict(photos)
    assert order[-2:] == ["clear", "summary"]


def test_images_with_the_same_name_get_different_copies():
    files = {Path("a/x.jpg"): Path("x.jpg"), Path("b/x.jpg"): Path("x.jpg"), Path("c.gif"): Path("c.gif")}
    assert list(copy_paths(files, Path("to")).values()) == [
        Path("to/x.jpg"),
        Path("to/x_2.jpg"),
        Path("to/c.gif.png"),
    ]


def test_a_folder_with_annotated_copies_only_is_an_error(tmp_path):
    (tmp_path / "annotated").mkdir()
    Image.fromarray(patches(RED)).save(tmp_path / "annotated" / "x.png")
    with pytest.raises(FerError, match="annotated copies"):
        list_images([str(tmp_path)], tmp_path / "annotated")


def test_an_input_folder_that_is_the_folder_of_copies_is_an_error(photos, tmp_path):
    Image.fromarray(patches(RED)).save(tmp_path / "more.png")
    for copies in (photos, tmp_path):
        with pytest.raises(FerError, match="photos: expected images, got only images in"):
            list_images([str(photos), str(tmp_path)], copies)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{}/bb.png"], "Did you mean 'b.png'?"),
        (["https://example.org/a.jpg"], "web address"),
        (["{}/empty"], "expected images"),
        (["{}/b.png", "{}/video.mp4"], "as the only source"),
        (["{}/video.mp4"], "video.mp4"),
        (["{}/b.png", "--json", "{}/b.png/out.jsonl"], "cannot be written"),
        (["{}/b.png", "--annotate", "{}/cut.jpg/annotated"], "cannot be written"),
        (["{}/b.png", "--model", "colors"], "expected the folder of a bundle"),
        (["7"], "webcam"),
        (["{}/b.png", "--annotate", "{}/out.gif"], "got .gif"),
        (
            ["{}/b.png", "{}/none.png", "--annotate", "{}/one.jpg"],
            "images, got the name of a file",
        ),
        (["{}/b.png", "--json", "-", "--csv", "-"], "expected one of them on standard output"),
        (["{}/float.tiff"], "float.tiff: expected an image (PNG, "),
        (["{}/" + 300 * "a"], "cannot be opened (File name too long)"),
        (["{}/children", "--annotate", "{}"], "Name another folder with --annotate"),
    ],
)
def test_errors_are_one_line(fer_predict, photos, arguments, message):
    (photos / "empty").mkdir()
    (photos / "video.mp4").write_bytes(b"not a video")
    Image.fromarray(np.zeros((8, 8), np.float32)).save(photos / "float.tiff")
    status, _, errors = fer_predict(*(argument.format(photos) for argument in arguments))
    assert status == 2
    assert message in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--threads", "0"],
        ["--smooth", "-1"],
        ["--smooth", "nan"],
        ["--detector", "x"],
        ["--threshold", "60"],
        ["--threshold", "x"],
    ],
)
def test_invalid_option_values_are_an_error(fer_predict, arguments, photos):
    status, _, errors = fer_predict(photos, *arguments)
    assert status == 2
    assert arguments[0] in errors


def test_videos_are_recognised_by_suffix_or_content(tmp_path):
    starts = {
        "a.mp4": (b"", True), "a.MOV": (b"", True), "video": (b"\0\0\0\x20ftypisom", True),
        "matroska": (b"\x1aE\xdf\xa3 etc", True), "avi": (b"RIFF\0\0\0\0AVI LIST", True),
        "a.png": (b"\0\0\0\x20ftypisom", False), "heic": (b"\0\0\0\x20ftypheic", False),
        "empty": (b"", False), "webp": (b"RIFF\0\0\0\0WEBPVP8 ", False),
    }  # fmt: skip
    for name, (content, is_video) in starts.items():
        (tmp_path / name).write_bytes(content)
        assert is_video_source(str(tmp_path / name)) == is_video
    assert is_video_source("0")
    assert not is_video_source(str(tmp_path))


def test_options_are_passed_on_for_a_video(fer_predict, tmp_path, monkeypatch):
    from fer.predict.video import run

    options = {}
    monkeypatch.setattr(
        run,
        "run_video",
        lambda *args, **kwargs: options.update(kwargs, source=args[0]) or SimpleNamespace(faces={}),
    )
    (tmp_path / "a.mp4").write_bytes(b"")
    arguments = ["--json=t.csv", "--annotate=o.mp4", "--smooth=0.2", "--all", "--strict", "--threads=1"]
    assert fer_predict(tmp_path / "a.mp4", *arguments)[0] == 3
    assert options.pop("source") == (tmp_path / "a.mp4")
    # A CSV file named by --json, as in earlier versions, is CSV.
    expected_options = {"annotate": "o.mp4", "json": None, "csv": "t.csv", "smooth": 0.2, "bars": True}
    assert options == expected_options | {"threads": 1}


def test_options_that_would_have_no_effect_are_refused(fer_predict, photos, tmp_path):
    status, _, error = fer_predict(photos / "b.png", "--smooth", "1")
    assert (status, error) == (2, "error: --smooth 1: expected a video, got images. Omit --smooth.\n")
    (tmp_path / "a.mp4").write_bytes(b"")
    status, _, error = fer_predict(tmp_path / "a.mp4", "--all", "--csv", tmp_path / "a.csv")
    assert status == 2
    assert error.startswith("error: --all: expected --annotate with a video")


def test_the_device_of_the_model(fer_predict, photos, monkeypatch):
    used = []
    monkeypatch.setattr("fer.bundle.runtime.choose_device", lambda device: used.append(device) or "cpu")
    assert fer_predict(photos / "b.png", "--device", "openvino")[0] == 0
    assert used[0] == "openvino"


def test_a_video_is_processed_frame_by_frame(fer_predict, tmp_path):
    video, timeline = tmp_path / "clip.avi", tmp_path / "clip.jsonl"
    write_video(video, [patches(RED, BLUE)] * 5, codec="MJPG")
    status, _, errors = fer_predict(video, "--json", timeline, "--annotate", tmp_path / "copy.avi")
    assert status == 0, errors
    rows = [json.loads(row) for row in timeline.read_text().splitlines()]
    assert {(row["face"], row["label"]) for row in rows} == {(1, "angry"), (2, "sad")}
    assert [row["frame"] for row in rows] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    copies, _ = read_video(tmp_path / "copy.avi")
    assert len(copies) == 5


def test_bar():
    assert [len(bar(value)) for value in (0, 0.31, 0.5, 1)] == [20] * 4
    assert bar(0).strip() == ""
    assert bar(0.5) == "█" * 10 + " " * 10
    assert bar(1) == "█" * 20
