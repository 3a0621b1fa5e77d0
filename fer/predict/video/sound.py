"""The sound of a video, copied or encoded again as AAC, for its annotated copy. Needs PyAV."""

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

# Codecs that browsers play in MP4; others are encoded again.
_COPIED_CODECS = frozenset({"aac", "mp3", "mp3float"})
# Sampling rates of AAC in hertz.
_RATES = frozenset(
    {96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000}
)
_DEFAULT_RATE = 48_000
_BIT_RATE_PER_CHANNEL = 64_000


class Sound:
    """The first audio stream of a video, written packet by packet into a copy of the video.

    Times are relative to the first frame. Sound that cannot be read ends the sound of the copy, not the copy.

    Args:
        path: The video.

    Attributes:
        is_damaged: Whether the sound ended early because it could not be read.
        video_seconds: Duration that the file declares for its frames; None if it does not say.
        num_frames: Number of frames that the file declares; 0 if it does not say.
    """

    def __init__(self, path: Path) -> None:
        self.is_damaged = False
        self.video_seconds: float | None = None
        self.num_frames = 0
        # An absolute path, because FFmpeg takes the part before a colon for a protocol.
        self._path = str(path.resolve())
        self._start = Fraction(0)
        self._container: Any = None
        self._output: Any = None
        self._packets: Iterator[Any] = iter(())
        self._next: Any = None

    def add_to(self, output: Any) -> None:
        """Add an audio stream to a container of PyAV before its first packet; none if there is no sound."""
        self._output = output
        try:
            self._container = av.open(self._path)
            for video in self._container.streams.video[:1]:
                self._read_facts(video)
            for audio in self._container.streams.audio[:1]:
                self._packets = self._copied(audio) if _is_copied(audio) else self._encoded(audio)
        except (av.FFmpegError, OSError, ValueError):
            self.is_damaged = True

    def _read_facts(self, video: Any) -> None:
        base = video.time_base or Fraction(0)
        self._start = (video.start_time or 0) * base
        self.num_frames = video.frames
        self.video_seconds = float(video.duration * base) if video.duration else None

    def write_until(self, seconds: float) -> None:
        """Write the packets that start before a time in seconds."""
        while True:
            packet = self._next or self._read()
            if packet is None:
                return
            self._next = packet
            if packet.pts * packet.time_base >= seconds:
                return
            self._next = None
            self._output.mux(packet)

    def _read(self) -> Any:
        """Return the next packet; None at the end."""
        try:
            return next(self._packets, None)
        except (av.FFmpegError, OSError, ValueError):
            self.is_damaged = True
            return None

    def close(self) -> None:
        """Close the video."""
        self._packets, self._next = iter(()), None
        if self._container is not None:
            self._container.close()

    def _copied(self, audio: Any) -> Iterator[Any]:
        """Yield the packets of a stream, and add a stream with its parameters to the output."""
        stream = self._output.add_stream_from_template(audio)
        return self._shifted(self._container.demux(audio), stream, audio.time_base)

    def _encoded(self, audio: Any) -> Iterator[Any]:
        """Yield the packets of a stream encoded as AAC, mono or stereo, and add a stream for them."""
        rate = audio.codec_context.sample_rate
        rate = rate if rate in _RATES else _DEFAULT_RATE
        channels = min(2, audio.codec_context.channels)
        stream = self._output.add_stream("aac", rate=rate)
        stream.layout = "mono" if channels == 1 else "stereo"
        stream.bit_rate = channels * _BIT_RATE_PER_CHANNEL
        graph = _resampling(audio, rate, stream.layout.name)
        return self._shifted(_encode(self._container.decode(audio), graph, stream), stream, Fraction(1, rate))

    def _shifted(self, packets: Iterator[Any], stream: Any, base: Fraction) -> Iterator[Any]:
        """Yield packets with times relative to the first frame, without those that end before it."""
        shift, last = round(self._start / base), -math.inf
        for packet in packets:
            # The last packet of a demuxer is empty, and damaged files have times that do not increase.
            if packet.pts is None or packet.dts is None or packet.dts <= last:
                continue
            last = packet.dts
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            if packet.pts + (packet.duration or 0) >= 0:
                packet.stream = stream
                yield packet


def _is_copied(audio: Any) -> bool:
    codec = audio.codec_context
    # AAC outside of MP4 may lack the description of its format that MP4 needs.
    return codec.name in _COPIED_CODECS and (codec.name != "aac" or bool(codec.extradata))


def _resampling(audio: Any, rate: int, layout: str) -> Any:
    """Return a filter graph that converts frames for AAC, and fills gaps with silence."""
    graph = av.filter.Graph()
    graph.link_nodes(
        graph.add_abuffer(template=audio),
        graph.add("aresample", "async=1"),
        graph.add("aformat", f"sample_fmts=fltp:sample_rates={rate}:channel_layouts={layout}"),
        graph.add("abuffersink"),
    ).configure()
    return graph


def _encode(frames: Iterator[Any], graph: Any, stream: Any) -> Iterator[Any]:
    for frame in frames:
        graph.push(frame)
        yield from _drain(graph, stream)
    graph.push(None)
    yield from _drain(graph, stream)
    yield from stream.encode(None)


def _drain(graph: Any, stream: Any) -> Iterator[Any]:
    while True:
        try:
            frame = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        yield from stream.encode(frame)
