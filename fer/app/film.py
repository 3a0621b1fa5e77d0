"""A film that somebody sent: judged frame by frame, annotated, and gone from the disk afterwards."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory

from fer.app.film_kind import check_film
from fer.app.history import History
from fer.app.intake import plain_name
from fer.app.limits import MAX_FACES, MAX_VIDEO_FRAMES, MAX_VIDEO_SECONDS
from fer.app.playable import PlayableFilm
from fer.errors import FerError
from fer.predict import Predictor
from fer.video.cuts import CutFinder
from fer.video.follow import Follower
from fer.video.frames import Film
from fer.video.outputs import Sink, to_film, to_timelines
from fer.video.screen import clock
from fer.video.summary import Summary
from fer.video.timeline import Timeline

_STEPS = 240  # of a chart, at most: it is some 700 pixels wide
_SHORTEST_STEP = 0.1  # seconds
_LONGEST = MAX_VIDEO_SECONDS + 1  # a film of two minutes may end a moment later
Turn = Callable[[], AbstractContextManager[object]]
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class JudgedFilm:
    """What is known of a film.

    Attributes:
        film: The annotated copy, the bytes of an MP4.
        csv: The time line, see `fer.video.timeline`.
        jsonl: The same as JSONL.
        history: Mean probabilities of each face over time.
        summary: Frames and faces.
        warning: What is missing of it, e.g. as the file is cut off; None where it is whole.
    """

    film: bytes
    csv: bytes
    jsonl: bytes
    history: History
    summary: Summary
    warning: str | None


@dataclass(frozen=True)
class FilmJob:
    """How films are judged.

    Attributes:
        predictor: Finds and judges the faces.
        turn: Gives a context within which the processor may be used for a frame.
        progress: Told of frames done and expected, the latter None where unknown. What it raises ends the
            work, and nothing is left behind.
        smooth: Seconds over which the answers of a face are averaged.
        points: Draw eyes, nose and corners of the mouth.
        bars: Draw the probability of every emotion.
    """

    predictor: Predictor
    turn: Turn
    progress: Progress
    smooth: float = 0.5
    points: bool = False
    bars: bool = True

    def judge(self, name: str, content: BytesIO) -> JudgedFilm:
        """Judge a film. Memory does not grow with its length, but for the film and rows that are returned.

        Args:
            name: What the sender calls it; only shown, and never trusted.
            content: Of the file; on disk it is for no longer than this takes, in a folder of its own.

        Raises:
            FerError: It is no film, damaged, too long or too large. No folder of this machine is named.
        """
        with TemporaryDirectory(prefix="fer-film-") as place, _named(Path(place) / "film", name) as path:
            content.seek(0)
            with path.open("wb") as file:
                copyfileobj(content, file)
            check_film(path)
            film = Film(path)
            try:
                return self._judge(film, Path(place))
            finally:
                film.close()

    def _judge(self, film: Film, place: Path) -> JudgedFilm:
        _check_length(film)
        emotions = self.predictor.card.labels.names
        copy, csv, jsonl = (place / name for name in ("copy.mp4", "rows.csv", "rows.jsonl"))
        summary, history = Summary("film"), History(emotions, _step(film))
        with ExitStack() as stack:
            writers = [stack.enter_context(Timeline(path, emotions)) for path in (csv, jsonl)]
            playable = stack.enter_context(PlayableFilm(copy))
            sinks = [
                summary.add,
                lambda frame, seen: history.add(seen, frame.seconds),
                to_timelines(*writers),
                to_film(playable, self.points, self.bars),
                lambda frame, seen: self.progress(frame.index + 1, film.count),
            ]
            whole = self._pass_on(film, sinks)
        warning = film.shortfall() if whole else _too_long(film.path)
        return JudgedFilm(
            copy.read_bytes(),
            csv.read_bytes(),
            jsonl.read_bytes(),
            history,
            summary,
            _unpathed(warning, film),
        )

    def _pass_on(self, film: Film, sinks: list[Sink]) -> bool:
        """Judge the frames; return whether that was all of them."""
        follower, is_cut = Follower(self.smooth, self.predictor.card.abstain_below), CutFinder()
        for frame in film:
            if frame.seconds > _LONGEST or frame.index >= MAX_VIDEO_FRAMES:
                return False
            with self.turn():
                faces = self.predictor.find(frame.picture)[:MAX_FACES]
                answers = self.predictor.classify(frame.picture, faces)
            seen = follower.update(answers, frame.seconds, is_cut(frame.picture))
            for sink in sinks:
                sink(frame, seen)
        return True


@contextmanager
def _named(path: Path, name: str) -> Iterator[Path]:
    """Let messages speak of the file as its sender does."""
    try:
        yield path
    except FerError as error:
        raise FerError(str(error).replace(str(path), plain_name(name))) from error


def _unpathed(text: str | None, film: Film) -> str | None:
    return text and text.replace(f"{film.path}: ", "The film ")


def _check_length(film: Film) -> None:
    if film.count is None:
        return
    seconds = film.count / film.rate
    if seconds > _LONGEST or film.count > MAX_VIDEO_FRAMES:
        raise FerError(
            f"{film.path}: expected a film of at most {clock(MAX_VIDEO_SECONDS)} minutes and "
            f"{MAX_VIDEO_FRAMES:,} frames, got one of {clock(seconds)} and {film.count:,} frames. "
            "Cut a piece out of it, or use fer-predict, which takes films of any length."
        )


def _too_long(path: Path) -> str:
    return (
        f"{path}: is longer than it says. What comes after {clock(MAX_VIDEO_SECONDS)} minutes or "
        f"{MAX_VIDEO_FRAMES:,} frames was left out."
    )


def _step(film: Film) -> float:
    """Return the seconds of a point of the chart, so that there are not too many of them."""
    seconds = MAX_VIDEO_SECONDS if film.count is None else min(MAX_VIDEO_SECONDS, film.count / film.rate)
    return max(_SHORTEST_STEP, seconds / _STEPS)
