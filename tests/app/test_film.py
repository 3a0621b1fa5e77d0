import csv
import io
import json
import tempfile
from contextlib import nullcontext

import av
import numpy as np
import pytest
from films import SquareFinder, scene, write_film

from fer.app import film as film_module
from fer.app.film import FilmJob
from fer.app.limits import MAX_VIDEO_SECONDS
from fer.errors import FerError
from fer.video.run import run_video


@pytest.fixture(autouse=True)
def _temporary(tmp_path, monkeypatch):
    """Keep temporary folders where the tests can see that they are gone."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield
    assert list(place.iterdir()) == []


def job(progress=lambda done, total: None, **options):
    return FilmJob(SquareFinder(), nullcontext, progress, **options)


def content_of(path):
    return io.BytesIO(path.read_bytes())


@pytest.fixture(scope="module")
def crossing(tmp_path_factory):
    return write_film(
        tmp_path_factory.mktemp("films") / "crossing.mp4", [scene(index) for index in range(20)]
    )


def test_a_film_gives_what_fer_predict_gives(crossing, tmp_path):
    told = []
    judged = job(lambda done, total: told.append((done, total))).judge("crossing.mp4", content_of(crossing))
    run_video(crossing, SquareFinder(), timeline=tmp_path / "rows.jsonl", show=False)
    assert judged.jsonl.decode() == (tmp_path / "rows.jsonl").read_text()
    run_video(crossing, SquareFinder(), timeline=tmp_path / "rows.csv", show=False)
    assert judged.csv.decode() == (tmp_path / "rows.csv").read_text()
    assert told == [(done, 20) for done in range(1, 21)]
    assert judged.warning is None
    assert (judged.summary.frames, judged.history.faces()) == (20, [1, 2])
    with av.open(io.BytesIO(judged.film)) as copy:
        assert len(list(copy.decode(video=0))) == 20


def test_charts_have_a_bounded_number_of_points(crossing):
    judged = job().judge("crossing.mp4", content_of(crossing))
    times, probs = judged.history.shares(1)
    assert len(times) == 8  # 0.8 s in steps of 0.1
    assert np.nanmin(probs.sum(1)) == pytest.approx(1)


def test_what_the_visitor_does_elsewhere_ends_the_work(crossing):
    class ElsewhereError(BaseException):
        """As Streamlit's, which is no Exception."""

    def progress(done, total):
        if done == 3:
            raise ElsewhereError

    with pytest.raises(ElsewhereError):
        job(progress).judge("crossing.mp4", content_of(crossing))


HOSTILE = {
    "empty": (b"", "got an empty file"),
    "text": (b"hello, hello, hello, hello", "got something else"),
    "play list": (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n", "got something else"),
    "concat": (b"ffconcat version 1.0\nfile /etc/hostname\n", "got something else"),
    "web page": (b"<html><script>alert(1)</script></html>", "got something else"),
    "head only": (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "cannot be opened|this cannot"),
    "noise": (b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 20, "cannot be opened|this cannot"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_no_film_is_refused(kind):
    content, reason = HOSTILE[kind]
    with pytest.raises(FerError, match=reason) as error:
        job().judge("../../etc/<b>clip.mp4", io.BytesIO(content))
    assert str(error.value).startswith("<b>clip.mp4: ")
    assert tempfile.gettempdir() not in str(error.value)


def test_a_film_cut_off_without_its_table_of_contents_is_refused(crossing):
    content = crossing.read_bytes()
    with pytest.raises(FerError, match=r"^clip\.mp4: .*cut off"):
        job().judge("clip.mp4", io.BytesIO(content[: len(content) // 2]))


def test_of_a_film_cut_off_in_the_middle_the_rest_is_judged(crossing):
    whole = job().judge("clip.mp4", content_of(crossing)).film  # its table of contents comes first
    judged = job().judge("clip.mp4", io.BytesIO(whole[: len(whole) * 3 // 4]))
    assert 0 < judged.summary.frames < 20
    assert judged.warning.startswith("The film ends in the middle")
    assert len(judged.jsonl.splitlines()) > 0


def test_a_long_film_is_refused_before_it_is_judged(tmp_path):
    frames = int(MAX_VIDEO_SECONDS) + 10
    path = write_film(tmp_path / "long.mp4", [scene(0)] * frames, rate=1.0)
    told = []
    with pytest.raises(FerError, match=r"^long\.mp4: .* at most 2:00 minutes .* got one of 2:10"):
        job(lambda done, total: told.append(done)).judge("long.mp4", content_of(path))
    assert told == []


def test_a_film_longer_than_it_says_is_judged_up_to_the_limit(crossing, monkeypatch):
    monkeypatch.setattr(film_module, "_LONGEST", 0.41)
    monkeypatch.setattr(film_module, "_check_length", lambda film: None)
    judged = job().judge("crossing.mp4", content_of(crossing))
    assert judged.summary.frames == 11
    assert judged.warning.startswith("The film is longer than it says")


def test_huge_frames_are_refused(monkeypatch, crossing):
    from fer.app import film_kind

    monkeypatch.setattr(film_kind, "MAX_VIDEO_PIXELS", 160 * 120 - 1)
    with pytest.raises(FerError, match=r"got 160 x 120"):
        job().judge("crossing.mp4", content_of(crossing))


def test_sound_alone_is_no_film(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(FerError, match="without moving pictures"):
        job().judge("sound.mp4", content_of(path))


def test_rows_of_both_kinds_tell_the_same(crossing):
    judged = job().judge("crossing.mp4", content_of(crossing))
    rows = list(csv.DictReader(io.StringIO(judged.csv.decode())))
    plain = [json.loads(line) for line in judged.jsonl.splitlines()]
    assert [row["label"] for row in rows] == [row["label"] for row in plain]
