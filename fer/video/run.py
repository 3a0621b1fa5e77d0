"""The loop from a film or a webcam to its annotated copy and its time line."""

import sys
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from fer.predict import Prediction, Predictor
from fer.video.cuts import CutFinder
from fer.video.feed import Feed
from fer.video.follow import Follower
from fer.video.frames import Film, Frame, Webcam, open_source
from fer.video.outputs import Outputs, Sink
from fer.video.summary import Summary

_MOST_THREADS = 8  # each holds a frame, 25 MB in 4K
_PATIENCE = 10.0  # seconds without a picture after which a camera counts as gone


def run_video(
    source: str | Path,
    predictor: Predictor,
    *,
    annotate: str | Path | None = None,
    timeline: str | Path | None = None,
    smooth: float = 0.5,
    threads: int | None = None,
    points: bool = True,
    bars: bool = False,
    show: bool = True,
) -> Summary:
    """Say what the faces of a film or before a webcam express, frame by frame.

    No frame of a film is left out; of a webcam the newest frame is looked at, and those that came meanwhile
    are dropped. The copy shows each frame at its time, also where a film's frames come unevenly. Memory does
    not grow with the length. Ctrl-C ends a webcam in good order; of a film it keeps what was done, an
    unfinished copy as ``NAME.part.mp4``.

    Args:
        source: A film, or the number of a webcam (``"0"``); a `Path` is always a film.
        predictor: What finds and judges the faces.
        annotate: Film to write with the answers drawn in, without sound; None for none.
        timeline: JSONL or CSV file to write, a row a face and frame; None for none.
        smooth: Seconds over which the answers of a face are averaged; 0 for none.
        threads: Frames that are looked at at a time, 8 at most; None takes the predictor's. A
            predictor of one thread and frames in several are fastest: 18 ms of processor time a frame
            against 24 with two threads each.
        points: Draw eyes, nose and mouth corners.
        bars: Draw the probability of every emotion.
        show: Write progress, the faces before a webcam and a summary to the terminal.

    Returns:
        What was done and seen.

    Raises:
        FerError: The source cannot be opened, or an output cannot be written.
        KeyboardInterrupt: A film was stopped by Ctrl-C; its outputs are closed.
    """
    outputs = Outputs(_path(annotate), _path(timeline), points, bars, show)
    outputs.check(Path(source))
    film = open_source(source)
    summary = Summary(film.name)
    try:
        _go_through(film, predictor, smooth, outputs, summary, threads or predictor.threads)
    finally:
        if show and summary.frames:
            _tell(summary)
    return summary


def _path(name: str | Path | None) -> Path | None:
    return None if name is None else Path(name)


def _tell(summary: Summary) -> None:
    print(summary)
    if summary.shortfall:
        print(f"warning: {summary.shortfall}", file=sys.stderr)


def _go_through(
    film: Film | Webcam,
    predictor: Predictor,
    smooth: float,
    outputs: Outputs,
    summary: Summary,
    threads: int,
) -> None:
    start = time.monotonic()
    follower = Follower(smooth, predictor.card.abstain_below)
    with ExitStack() as stack:
        feed = stack.enter_context(_reading(film))
        sinks = [summary.add, *outputs.open(stack, film, predictor.card.labels.names)]
        try:
            with closing(
                _answers(feed, predictor, 1 if film.live else min(threads, _MOST_THREADS))
            ) as answers:
                _pass_on(answers, follower, sinks, cuts=not film.live)
        except KeyboardInterrupt:
            if not film.live:  # the usual end of a webcam, but a film is not whole
                raise
        finally:
            summary.dropped, summary.elapsed = feed.dropped, time.monotonic() - start
    summary.shortfall = film.shortfall()


@contextmanager
def _reading(film: Film | Webcam) -> Iterator[Feed]:
    """Read frames in a thread, which has ended when the film is closed."""
    feed = Feed(film, newest=film.live, patience=_PATIENCE if film.live else None)
    try:
        yield feed
    finally:
        if feed.close():
            film.close()  # a camera that hangs is left alone: closing it while it reads can crash


def _pass_on(
    answers: Iterator[tuple[Frame, list[Prediction]]], follower: Follower, sinks: list[Sink], cuts: bool
) -> None:
    is_cut = CutFinder()
    for frame, predictions in answers:
        # Before a webcam a sudden change is the light that was switched on.
        cut = cuts and is_cut(frame.picture)
        seen = follower.update(predictions, frame.seconds, cut)
        for sink in sinks:
            sink(frame, seen)


def _answers(
    frames: Iterable[Frame], predictor: Predictor, threads: int
) -> Generator[tuple[Frame, list[Prediction]]]:
    """Yield frames and the answers on their faces in order, several frames being looked at at a time."""

    def look(frame: Frame) -> tuple[Frame, list[Prediction]]:
        return frame, predictor.classify(frame.picture, predictor.find(frame.picture))

    if threads == 1:
        yield from map(look, frames)
        return
    pending: deque[Future[tuple[Frame, list[Prediction]]]] = deque()
    pool = ThreadPoolExecutor(threads, "frames")
    try:
        for frame in frames:
            pending.append(pool.submit(look, frame))
            if len(pending) > threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
