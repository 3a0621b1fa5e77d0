"""The sound of a video in its annotated copy."""

import av
import pytest
from sound_video import read_sound, stream_seconds, tone_starts, write_sound_video
from video_files import SquarePredictor, render_frame

from fer.predict.video.h264 import H264Writer
from fer.predict.video.reader import VideoFile
from fer.predict.video.run import run_video

IMAGES = [render_frame(index % 36) for index in range(60)]
FRAME = 1 / 25


def copy(source, target):
    run_video(source, SquarePredictor(), annotate=target, show=False)
    return target


def codecs(path):
    with av.open(str(path)) as container:
        return [stream.codec_context.name for stream in container.streams]


@pytest.mark.parametrize(
    ("name", "options", "codec"),
    [
        ("a.mp4", {}, "aac"),
        ("a.mov", {"codec": "libx265", "layout": "mono"}, "aac"),
        ("a.avi", {"codec": "mpeg4", "audio_codec": "libmp3lame"}, "mp3float"),
        ("a.webm", {"codec": "libvpx", "audio_codec": "libopus", "rate": 48_000}, "aac"),
        ("a.mkv", {"audio_codec": "flac"}, "aac"),
        ("a.mkv", {"audio_codec": "pcm_s16le", "rate": 37_800}, "aac"),
        ("a.mp4", {"layout": "5.1", "audio_codec": "ac3", "rate": 48_000}, "aac"),
    ],
)
def test_a_copy_has_the_duration_and_the_sound_of_the_video(tmp_path, name, options, codec):
    source = write_sound_video(tmp_path / name, IMAGES, **options)
    target = copy(source, tmp_path / "copy.mp4")
    assert codecs(target) == ["h264", codec]
    expected, actual = stream_seconds(source), stream_seconds(target)
    assert actual["video"] == pytest.approx(expected["video"], abs=FRAME)
    assert actual["audio"] == pytest.approx(expected["audio"], abs=FRAME)
    assert tone_starts(target) == pytest.approx(tone_starts(source), abs=FRAME)
    assert len(tone_starts(target)) == 3


def test_a_video_without_sound(tmp_path):
    source = write_sound_video(tmp_path / "a.mp4", IMAGES[:5], audio_codec=None)
    assert codecs(copy(source, tmp_path / "copy.mp4")) == ["h264"]


def test_sound_that_starts_later_or_ends_later_keeps_its_time(tmp_path):
    source = write_sound_video(tmp_path / "a.mp4", IMAGES, sound_start=0.52, sound_seconds=4.0)
    target = copy(source, tmp_path / "copy.mp4")
    assert tone_starts(target) == pytest.approx([0.52, 1.52, 2.52, 3.52], abs=FRAME)
    assert stream_seconds(target)["audio"] == pytest.approx(4.52, abs=FRAME)


def test_sound_before_the_first_frame_is_left_out(tmp_path):
    times = [0.52 + index * FRAME for index in range(60)]
    source = write_sound_video(tmp_path / "a.mp4", IMAGES, times)
    target = copy(source, tmp_path / "copy.mp4")
    # The tone at 1 s is 0.48 s after the first frame, which the copy shows at 0 s.
    assert tone_starts(target) == pytest.approx([0.48, 1.48], abs=FRAME)
    assert stream_seconds(target)["video"] == pytest.approx(2.4, abs=FRAME)


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
def test_the_last_frame_of_a_variable_rate_lasts_as_long_as_in_the_video(tmp_path, name):
    times = [0.0, 0.04, 0.08, 1.0, 2.4]
    source = write_sound_video(tmp_path / name, IMAGES[:5], times)
    summary = run_video(source, SquarePredictor(), annotate=tmp_path / "copy.mp4", show=False)
    with av.open(str(tmp_path / "copy.mp4")) as container:
        assert [frame.time for frame in container.decode(video=0)] == pytest.approx(times, abs=1e-3)
    assert stream_seconds(source)["video"] == pytest.approx(2.44, abs=0.01)
    assert stream_seconds(tmp_path / "copy.mp4")["video"] == pytest.approx(2.44, abs=0.01)
    assert sum(summary.faces[1].values()) == pytest.approx(2.44, abs=0.01)


def test_the_sound_of_a_video_with_damaged_frames_ends_with_them(tmp_path):
    source = write_sound_video(tmp_path / "a.mp4", IMAGES)
    with H264Writer(tmp_path / "copy.mp4", 25.0, source) as writer:
        for frame in VideoFile(source):
            if frame.index < 10:
                writer.write(frame.image, frame.seconds)
    assert stream_seconds(tmp_path / "copy.mp4") == pytest.approx({"video": 0.4, "audio": 0.4}, abs=FRAME)


def test_sound_ends_at_the_limit(tmp_path):
    source = write_sound_video(tmp_path / "a.mp4", IMAGES)
    with H264Writer(tmp_path / "copy.mp4", 25.0, source, max_seconds=1.0) as writer:
        for frame in VideoFile(source):
            if frame.seconds < 1:
                writer.write(frame.image, frame.seconds)
    assert stream_seconds(tmp_path / "copy.mp4")["audio"] == pytest.approx(1.0, abs=FRAME)


def test_the_sound_of_a_truncated_video_ends_with_it(tmp_path):
    source = write_sound_video(tmp_path / "a.mkv", IMAGES)
    content = source.read_bytes()
    (tmp_path / "cut.mkv").write_bytes(content[: len(content) // 2])
    target = copy(tmp_path / "cut.mkv", tmp_path / "copy.mp4")
    ends = stream_seconds(target)
    assert 0 < ends["audio"] < 2
    assert ends["audio"] == pytest.approx(ends["video"], abs=0.5)


def test_damaged_sound_does_not_end_the_copy(tmp_path, monkeypatch):
    from fer.predict.video.sound import Sound

    source = write_sound_video(tmp_path / "a.mp4", IMAGES)

    def damaged(sound):
        raise av.error.InvalidDataError(1, "damaged")

    monkeypatch.setattr(Sound, "_shifted", lambda sound, *_: (damaged(sound) for _ in range(1)))
    with H264Writer(tmp_path / "copy.mp4", 25.0, source) as writer:
        for frame in VideoFile(source):
            writer.write(frame.image, frame.seconds)
    assert writer.sound.is_damaged
    assert stream_seconds(tmp_path / "copy.mp4")["video"] == pytest.approx(2.4, abs=FRAME)


def test_the_samples_of_copied_sound_are_those_of_the_video(tmp_path):
    source = write_sound_video(tmp_path / "a.mp4", IMAGES)
    expected, actual = read_sound(source), read_sound(copy(source, tmp_path / "copy.mp4"))
    assert actual[1] == expected[1]
    assert (actual[0] == expected[0]).all()
