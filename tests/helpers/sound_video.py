"""Videos with sound, written with PyAV: a tone at the start of each second, and frames at any times."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

TONE_SECONDS = 0.1
_CHUNK = 1024


def write_sound_video(
    path: Path,
    images: Sequence[np.ndarray],
    times: Sequence[float] | None = None,
    *,
    codec: str = "libx264",
    audio_codec: str | None = "aac",
    rate: int = 44_100,
    layout: str = "stereo",
    sound_seconds: float | None = None,
    sound_start: float = 0.0,
    fps: int = 25,
    pix_fmt: str = "yuv420p",
    bit_rate: int = 2_000_000,
) -> Path:
    """Write RGB images, each at its time in seconds (default: at ``fps``), with sound of the same length."""
    times = times or [index / fps for index in range(len(images))]
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=fps)
        video.width, video.height, video.pix_fmt = images[0].shape[1], images[0].shape[0], pix_fmt
        video.bit_rate = bit_rate
        base = Fraction(1, 1000) if path.suffix != ".avi" else Fraction(1, fps)
        video.time_base = video.codec_context.time_base = base
        audio = None
        if audio_codec:
            audio = container.add_stream(audio_codec, rate=rate)
            audio.layout = layout
        for image, seconds in zip(images, times, strict=True):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts, frame.time_base = round(seconds / base), base
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if audio is not None:
            seconds = times[-1] + 1 / fps if sound_seconds is None else sound_seconds
            _write_tones(container, audio, seconds, rate, sound_start)
    return path


def _write_tones(container, audio, seconds: float, rate: int, start: float) -> None:
    time = np.arange(round(seconds * rate)) / rate
    tones = np.where(time % 1 < TONE_SECONDS, 0.5 * np.sin(2 * np.pi * 440 * time), 0).astype(np.float32)
    channels = audio.layout.nb_channels
    for first in range(0, len(tones), _CHUNK):
        samples = np.tile(tones[first : first + _CHUNK], (channels, 1))
        frame = av.AudioFrame.from_ndarray(samples, "fltp", audio.layout.name)
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = first + round(start * rate)
        container.mux(audio.encode(frame))
    container.mux(audio.encode())


def read_sound(path: Path) -> tuple[np.ndarray, int]:
    """Read the samples of the first channel, from time 0 on, and their rate."""
    parts, first, rate = [], 0, 1
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            if not parts:
                first, rate = round(frame.time * frame.sample_rate), frame.sample_rate
            part = frame.to_ndarray()[0].astype(float)
            if not frame.format.is_planar:
                part = part[:: frame.layout.nb_channels]
            parts.append(part)
    samples = np.concatenate(parts)
    return np.concatenate([np.zeros(max(0, first)), samples[max(0, -first) :]]), rate


def tone_starts(path: Path) -> list[float]:
    """Return the times in seconds at which a tone starts after silence."""
    samples, rate = read_sound(path)
    step = rate // 200
    loud = np.array([np.abs(samples[i : i + step]).max() for i in range(0, len(samples), step)])
    is_loud = loud > 0.3 * loud.max()
    starts = np.flatnonzero(is_loud & ~np.concatenate([[False], is_loud[:-1]]))
    return (starts / 200).tolist()


def stream_seconds(path: Path) -> dict[str, float]:
    """Return the end in seconds of the video and of the audio stream, by reading their packets."""
    ends: dict[str, float] = {}
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.pts is not None:
                end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                ends[packet.stream.type] = max(end, ends.get(packet.stream.type, 0.0))
    return ends
