import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from colour_bundle import PatchDetector, expected, patches, write_bundle
from films import read_film, write_film
from PIL import Image

import fer.predict
from fer.errors import FerError
from fer.faces.face import Face
from fer.labels import FER7
from fer.predict_cli import main
from fer.predicting.copies import copy_targets, write_picture
from fer.predicting.lines import bar
from fer.predicting.sources import is_moving, list_pictures

RED, BLUE, MUD = (255, 0, 0), (0, 0, 255), (90, 90, 90)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("models") / "colours")


@pytest.fixture
def fer_predict(bundle, monkeypatch, capsys):
    """Call ``fer-predict`` with colour model and detector of patches; return status, output, errors."""
    monkeypatch.setattr(fer.predict, "choose_detector", lambda name, file: PatchDetector())

    def call(*words):
        with pytest.raises(SystemExit) as exit_:
            main(["--model", str(bundle), *map(str, words)])
        return exit_.value.code, *capsys.readouterr()

    return call


@pytest.fixture
def photos(tmp_path):
    """A folder of four pictures, one below, one without a face, one cut off."""
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    Image.fromarray(patches(RED, BLUE)).save(folder / "b.png")
    Image.fromarray(patches(None)).save(folder / "none.png")
    Image.fromarray(patches(MUD)).save(folder / "below" / "a.webp", lossless=True)
    (folder / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    return folder


def test_people_get_a_line_a_face(fer_predict, photos):
    status, said, _ = fer_predict(photos / "b.png")
    head, first, second = said.splitlines()
    assert status == 0
    assert head == "model colours:3 (7 emotions, fp32), faces by patches"
    assert first.split()[1:5] == ["1", "angry", "98", "%"]
    assert second.split()[1:4] == ["2", "sad", "98"]
    assert first.count("█") == 19


def test_doubt_and_missing_faces_are_said(fer_predict, photos):
    assert "uncertain" in fer_predict(photos / "below" / "a.webp")[1]
    status, said, _ = fer_predict(photos / "none.png")
    assert status == 0
    assert "no face found" in said
    assert fer_predict(photos / "none.png", "--strict")[0] == 3
    assert fer_predict(photos / "b.png", "--strict")[0] == 0


def test_a_tiny_face_is_warned_of(fer_predict, photos, monkeypatch):
    assert "tiny face," not in fer_predict(photos / "b.png")[1]
    monkeypatch.setattr(PatchDetector, "__call__", lambda self, picture: [Face((0, 0, 20, 23), 0.9)])
    assert "tiny face, 20 pixels" in fer_predict(photos / "b.png")[1]


def test_all_emotions_are_listed_on_request(fer_predict, photos):
    said = fer_predict(photos / "below" / "a.webp", "--all")[1].splitlines()[2:]
    assert [line.split()[0] for line in said] == list(FER7.names)
    shares = [int(line.split()[1]) for line in said]
    assert shares == [round(100 * share) for share in expected(MUD)]


def test_a_folder_is_done_whatever_is_in_it(fer_predict, photos, tmp_path):
    status, said, errors = fer_predict(photos, "--json", tmp_path / "new" / "out.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "new" / "out.jsonl").read_text().splitlines()]
    assert status == 1
    assert [Path(row["file"]).name for row in rows] == ["b.png", "a.webp", "cut.jpg", "none.png"]
    assert all(row["model"] == "colours:3" and row["detector"] == "patches" for row in rows)
    assert rows[0]["size"] == [64, 32]
    assert [face["label"] for face in rows[0]["faces"]] == ["angry", "sad"]
    assert "cut.jpg" in rows[2]["error"]
    assert "faces" not in rows[2]
    assert rows[3]["faces"] == []
    assert "4 pictures: 3 faces; without a face: 1, not readable: 1" in said
    assert len(errors.splitlines()) == 1
    assert "cut.jpg" in errors


def test_when_nothing_can_be_read_the_status_is_that_of_a_mistake(fer_predict, photos):
    status, _, errors = fer_predict(photos / "cut.jpg")
    assert status == 2
    assert errors.startswith("error: ")
    assert len(errors.splitlines()) == 1


def test_copies_keep_the_tree_and_never_replace_a_picture(fer_predict, photos, tmp_path):
    before = {path: path.read_bytes() for path in photos.rglob("*.*")}
    for _ in range(2):  # the second time, the copies lie in the folder and are no new pictures
        assert fer_predict(photos, "--annotate", photos / "drawn")[0] == 1
        copies = {str(path.relative_to(photos / "drawn")) for path in (photos / "drawn").rglob("*.*")}
        assert copies == {"b.png", "below/a.webp", "none.png"}
    assert all(path.read_bytes() == content for path, content in before.items())
    drawn = np.array(Image.open(photos / "drawn" / "b.png"))
    assert drawn.shape == (32, 64, 3)
    assert (drawn != patches(RED, BLUE)).any()
    assert fer_predict(photos / "b.png", "--annotate", tmp_path / "one.jpg")[0] == 0
    assert Image.open(tmp_path / "one.jpg").size == (64, 32)
    status, _, errors = fer_predict(photos / "b.png", "--annotate", photos)
    assert status == 2
    assert "would replace" in errors
    assert (photos / "b.png").read_bytes() == before[photos / "b.png"]


@pytest.mark.parametrize(
    "words", [["{}/b.png", "{}/x/b.png", "--annotate", "{}/x"], ["{}/b.png", "--json", "{}/b.png"]]
)
def test_nothing_is_written_over_a_picture_that_was_given(fer_predict, photos, words):
    (photos / "x").mkdir()
    Image.fromarray(patches(BLUE)).save(photos / "x" / "b.png")
    before = {path: path.read_bytes() for path in photos.rglob("*.png")}
    status, _, errors = fer_predict(*(word.format(photos) for word in words))
    assert status == 2
    assert "would replace this picture" in errors
    assert {path: path.read_bytes() for path in photos.rglob("*.png")} == before


def test_a_refused_command_keeps_the_lines_of_the_last_one(fer_predict, photos, tmp_path):
    (tmp_path / "out.jsonl").write_text("yesterday\n")
    words = ["--json", tmp_path / "out.jsonl", "--annotate", photos]
    assert fer_predict(photos / "b.png", *words)[0] == 2
    assert (tmp_path / "out.jsonl").read_text() == "yesterday\n"


def test_a_copy_too_large_for_its_format_is_told(tmp_path):
    with pytest.raises(FerError, match="too large for this format"):
        write_picture(tmp_path / "a.webp", np.zeros((2, 16_400, 3), np.uint8))


def test_the_last_lines_stand_alone(photos, fer_predict, monkeypatch):
    """Progress is wiped away before they come."""
    order = []
    monkeypatch.setattr("fer.predicting.pictures.Progress.clear", lambda _: order.append("clear"))
    monkeypatch.setattr("fer.predicting.pictures._sum_up", lambda *_: order.append("sum"))
    fer_predict(photos)
    assert order[-2:] == ["clear", "sum"]


def test_pictures_of_one_name_get_copies_of_their_own():
    files = {Path("a/x.jpg"): Path("x.jpg"), Path("b/x.jpg"): Path("x.jpg"), Path("c.gif"): Path("c.gif")}
    assert list(copy_targets(files, Path("to")).values()) == [
        Path("to/x.jpg"),
        Path("to/x_2.jpg"),
        Path("to/c.gif.png"),
    ]


def test_copies_of_an_earlier_run_alone_are_no_pictures(tmp_path):
    (tmp_path / "drawn").mkdir()
    Image.fromarray(patches(RED)).save(tmp_path / "drawn" / "x.png")
    with pytest.raises(FerError, match="annotated copies"):
        list_pictures([str(tmp_path)], tmp_path / "drawn")


def test_a_folder_of_pictures_that_is_the_folder_of_copies_is_never_left_out(photos, tmp_path):
    Image.fromarray(patches(RED)).save(tmp_path / "more.png")
    for copies in (photos, tmp_path):
        with pytest.raises(FerError, match="photos: all pictures in it lie in"):
            list_pictures([str(photos), str(tmp_path)], copies)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{}/bb.png"], "Did you mean 'b.png'?"),
        (["https://example.org/a.jpg"], "web address"),
        (["{}/empty"], "expected pictures"),
        (["{}/b.png", "{}/film.mp4"], "alone"),
        (["{}/film.mp4"], "film.mp4"),
        (["{}/b.png", "--json", "{}/b.png/out.jsonl"], "cannot be written"),
        (["{}/b.png", "--annotate", "{}/cut.jpg/drawn"], "cannot be written"),
        (["{}/b.png", "--model", "colors"], "expected the folder of a bundle"),
        (["7"], "webcam"),
        (["{}/b.png", "--annotate", "{}/out.gif"], "got .gif"),
        (["{}/b.png", "--json", "{}/out.csv"], "Name it .jsonl"),
        (["{}/" + 300 * "a"], "cannot be looked up (File name too long)"),
        (["{}/below", "--annotate", "{}"], "Name another folder with --annotate"),
    ],
)
def test_a_mistake_is_one_clear_line(fer_predict, photos, words, message):
    (photos / "empty").mkdir()
    (photos / "film.mp4").write_bytes(b"no film")
    status, _, errors = fer_predict(*(word.format(photos) for word in words))
    assert status == 2
    assert message in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    "words", [["--threads", "0"], ["--smooth", "-1"], ["--smooth", "nan"], ["--detector", "x"]]
)
def test_values_that_make_no_sense_are_refused(fer_predict, words, photos):
    status, _, errors = fer_predict(photos, *words)
    assert status == 2
    assert words[0] in errors


def test_films_are_known_by_name_or_content(tmp_path):
    starts = {
        "a.mp4": (b"", True), "a.MOV": (b"", True), "film": (b"\0\0\0\x20ftypisom", True),
        "matroska": (b"\x1aE\xdf\xa3 etc", True), "avi": (b"RIFF\0\0\0\0AVI LIST", True),
        "a.png": (b"\0\0\0\x20ftypisom", False), "heic": (b"\0\0\0\x20ftypheic", False),
        "empty": (b"", False), "webp": (b"RIFF\0\0\0\0WEBPVP8 ", False),
    }  # fmt: skip
    for name, (content, moving) in starts.items():
        (tmp_path / name).write_bytes(content)
        assert is_moving(str(tmp_path / name)) == moving
    assert is_moving("0")
    assert not is_moving(str(tmp_path))


def test_a_film_goes_to_the_film_room(fer_predict, tmp_path, monkeypatch):
    from fer.video import run

    seen = {}
    monkeypatch.setattr(
        run, "run_video", lambda *a, **b: seen.update(b, source=a[0]) or SimpleNamespace(faces={})
    )
    (tmp_path / "a.mp4").write_bytes(b"")
    words = ["--json", "t.csv", "--annotate", "o.mp4", "--smooth", "0.2", "--all", "--strict", "--threads=1"]
    assert fer_predict(tmp_path / "a.mp4", *words)[0] == 3
    assert seen.pop("source") == (tmp_path / "a.mp4")
    assert seen == {"annotate": "o.mp4", "timeline": "t.csv", "smooth": 0.2, "bars": True, "threads": 1}


def test_a_film_is_answered_frame_by_frame(fer_predict, tmp_path):
    film, line = tmp_path / "clip.avi", tmp_path / "clip.jsonl"
    write_film(film, [patches(RED, BLUE)] * 5, codec="MJPG")
    status, _, errors = fer_predict(film, "--json", line, "--annotate", tmp_path / "copy.avi")
    assert status == 0, errors
    rows = [json.loads(row) for row in line.read_text().splitlines()]
    assert {(row["face"], row["label"]) for row in rows} == {(1, "angry"), (2, "sad")}
    assert [row["frame"] for row in rows] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    copies, _ = read_film(tmp_path / "copy.avi")
    assert len(copies) == 5


def test_a_bar_tells_the_share():
    assert [len(bar(share)) for share in (0, 0.31, 0.5, 1)] == [20] * 4
    assert bar(0).strip() == ""
    assert bar(0.5) == "█" * 10 + " " * 10
    assert bar(1) == "█" * 20
