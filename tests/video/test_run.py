import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from films import SIDE, FakeCamera, SquareFinder, read_film, scene, write_film

from fer.errors import FerError
from fer.video.frames import Film
from fer.video.run import run_video
from fer.video.timeline import read_timeline

FRAMES = 36


@pytest.fixture
def film(tmp_path):
    """Two squares cross; the upper one is out of sight in the frames 15 to 18."""
    pictures = [scene(index, happy=not 15 <= index <= 18) for index in range(FRAMES)]
    return write_film(tmp_path / "clip.mp4", pictures)


class InterruptedFinder(SquareFinder):
    """Ctrl-C is pressed at the eleventh frame."""

    def find(self, picture):
        if self.calls == 10:
            raise KeyboardInterrupt
        return super().find(picture)


class NobodyFinder(SquareFinder):
    """Finds no face."""

    def find(self, picture):
        return []


@pytest.mark.parametrize("threads", [1, 3])
def test_each_face_keeps_its_number_and_emotion(film, tmp_path, threads):
    summary = run_video(film, SquareFinder(threads), timeline=tmp_path / "out.jsonl", show=False)
    rows = list(read_timeline(tmp_path / "out.jsonl"))
    assert Counter((row.face, row.label) for row in rows) == {(1, "happy"): FRAMES - 4, (2, "sad"): FRAMES}
    assert [row.frame for row in rows] == sorted(row.frame for row in rows)
    for row in rows:
        expected = 10 + 3 * row.frame if row.face == 1 else 120 - 3 * row.frame
        assert row.box[0] == pytest.approx(expected, abs=2)
        assert row.box[2] == pytest.approx(SIDE, abs=3)
        assert row.seconds == pytest.approx(row.frame / 25, abs=1e-3)
    assert (summary.frames, summary.dropped, summary.shortfall) == (FRAMES, 0, None)
    assert summary.faces == {1: {"happy": FRAMES - 4}, 2: {"sad": FRAMES}}


def test_the_annotated_film_is_the_film_with_something_drawn(film, tmp_path):
    run_video(film, SquareFinder(), annotate=tmp_path / "made" / "out.mp4", show=False)
    before, after = read_film(film), read_film(tmp_path / "made" / "out.mp4")
    assert (len(after[0]), after[1]) == (FRAMES, before[1])
    for plain, drawn in zip(before[0], after[0], strict=True):
        assert plain.shape == drawn.shape
        changed = np.abs(plain.astype(int) - drawn).max(2) > 60
        assert 0.01 < changed.mean() < 0.5


def test_smoothing_is_by_the_time_of_the_film(tmp_path):
    """A face is happy (0.9) for a second, then sad (0.2): at that moment 0.9 - 0.7 (1 - exp(-0.04 / 0.5))."""
    pictures = [scene(0, sad=False)] * 25
    pictures += [np.where(pictures[0] > 200, np.uint8(150), pictures[0])] * 25
    film = write_film(tmp_path / "a.mp4", pictures, rate=25)
    for smooth, expected in ((0.5, 0.9 - 0.7 * (1 - np.exp(-0.04 / 0.5))), (0, 0.2)):
        run_video(film, SquareFinder(), timeline=tmp_path / "a.csv", smooth=smooth, show=False)
        rows = list(read_timeline(tmp_path / "a.csv"))
        assert rows[24].probabilities["happy"] == pytest.approx(0.9)
        assert rows[25].probabilities["happy"] == pytest.approx(expected, abs=1e-4)
        assert all(sum(row.probabilities.values()) == pytest.approx(1, abs=1e-5) for row in rows)


def test_a_steadied_answer_is_uncertain_by_the_card(film, tmp_path):
    run_video(film, SquareFinder(abstain_below=0.85), timeline=tmp_path / "a.jsonl", show=False)
    assert {(row.face, row.uncertain) for row in read_timeline(tmp_path / "a.jsonl")} == {
        (1, False),
        (2, True),
    }


@pytest.mark.parametrize("threads", [1, 3])
def test_ctrl_c_keeps_what_was_done(film, tmp_path, capsys, threads):
    outputs = {"annotate": tmp_path / "out.mp4", "timeline": tmp_path / "out.csv"}
    with pytest.raises(KeyboardInterrupt):
        run_video(film, InterruptedFinder(threads), **outputs)
    frames = {row.frame for row in read_timeline(tmp_path / "out.csv")}
    assert frames == set(range(len(frames)))
    assert 8 <= len(frames) <= 10
    assert not (tmp_path / "out.mp4").exists()
    assert len(read_film(tmp_path / "out.part.mp4")[0]) == len(frames)
    told = capsys.readouterr()
    assert f"out.part.mp4: the {len(frames)} frames that were done are kept here" in told.err
    assert f"clip.mp4: {len(frames)} frames" in told.out


def test_a_film_of_uneven_frames_and_its_copy_show_the_same_at_the_same_time(tmp_path, monkeypatch):
    """Ten frames 0.04 s apart, then ten 0.2 s apart; each is brighter than the one before."""
    times = [0.04 * i for i in range(10)] + [0.4 + 0.2 * i for i in range(10)]
    film = write_film(tmp_path / "a.mp4", [np.full((48, 64, 3), 40 + 10 * i, np.uint8) for i in range(20)])
    monkeypatch.setattr(Film, "_clock", lambda film: times[min(film.read, 19)])
    run_video(film, NobodyFinder(), annotate=tmp_path / "out.mp4", show=False)
    (copy, rate), (pictures, _) = read_film(tmp_path / "out.mp4"), read_film(film)
    for seconds, number in ((0.2, 5), (0.36, 9), (0.5, 10), (0.7, 11), (2.1, 18), (2.2, 19)):
        shown = copy[int(seconds * rate + 1e-6)].mean()
        assert shown == pytest.approx(pictures[number].mean(), abs=4)
    assert len(copy) == round(2.2 * rate) + 1


def test_a_film_named_by_a_number_alone(film, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    film.rename("0")
    for named in (Path("0"), "./0"):
        assert run_video(named, SquareFinder(), show=False).frames == FRAMES


def test_no_face_is_said_and_leaves_a_film_and_an_empty_time_line(tmp_path, capsys):
    film = write_film(tmp_path / "a.mp4", [scene(0, False, False)] * 5)
    outputs = {"annotate": tmp_path / "out.mp4", "timeline": tmp_path / "out.jsonl"}
    assert run_video(film, SquareFinder(), **outputs).faces == {}
    assert len(read_film(tmp_path / "out.mp4")[0]) == 5
    assert list(read_timeline(tmp_path / "out.jsonl")) == []
    assert "no face found" in capsys.readouterr().out


def test_a_film_cut_off_is_done_up_to_there_and_said(tmp_path, capsys):
    film = write_film(tmp_path / "a.avi", [scene(i % 30) for i in range(60)], codec="MJPG")
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    summary = run_video(film, SquareFinder(), annotate=tmp_path / "out.mp4")
    assert 20 < summary.frames < 40
    assert len(read_film(tmp_path / "out.mp4")[0]) == summary.frames
    assert "a.avi: ends in the middle" in capsys.readouterr().err


def test_a_webcam_ends_in_good_order_with_ctrl_c(monkeypatch, tmp_path, capsys):
    """The recording is whole: Ctrl-C is how one ends a webcam."""
    camera, real = FakeCamera(10**6), cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda at, *rest: real(at, *rest) if rest else camera)
    monkeypatch.setattr(camera, "read", lambda read=camera.read: (time.sleep(0.002), read())[1])
    summary = run_video("0", InterruptedFinder(), annotate=tmp_path / "out.mp4")
    assert summary.frames == 10
    assert camera.released
    assert (tmp_path / "out.mp4").exists()
    assert "webcam 0: 10 frames" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["annotate", "timeline"])
def test_the_film_itself_is_never_written_over(film, option):
    content = film.read_bytes()
    named = film if option == "annotate" else film.rename(film.with_suffix(".csv"))
    with pytest.raises(FerError, match="this is the film itself"):
        run_video(named, SquareFinder(), show=False, **{option: named.parent / "." / named.name})
    assert named.read_bytes() == content


def test_a_part_that_was_left_is_not_written_over_when_it_is_the_film(film):
    part = film.rename(film.with_name(f"a.part{film.suffix}"))
    content = part.read_bytes()
    with pytest.raises(FerError, match="this is the film itself"):
        run_video(part, SquareFinder(), show=False, annotate=film.with_name(f"a{film.suffix}"))
    assert part.read_bytes() == content


def test_a_folder_is_no_film_to_write(film, tmp_path):
    (tmp_path / "out.mp4").mkdir()
    with pytest.raises(FerError, match="expected a file to write, got a folder"):
        run_video(film, SquareFinder(), show=False, annotate=tmp_path / "out.mp4")


def test_what_cannot_be_opened_leaves_earlier_outputs(tmp_path):
    (tmp_path / "out.csv").write_text("of yesterday")
    with pytest.raises(FerError, match="found nothing"):
        run_video(tmp_path / "none.mp4", SquareFinder(), timeline=tmp_path / "out.csv", show=False)
    assert (tmp_path / "out.csv").read_text() == "of yesterday"
