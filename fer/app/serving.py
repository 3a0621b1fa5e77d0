"""What serves all visitors of a process: one detector, each model once, a few computations at a time."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from fer.app.live import BusyError
from fer.app.settings import Settings, settings
from fer.bundle.card import Card, model_name, read_card
from fer.bundle.files import CARD, Bundle, read_bundle
from fer.bundle.find import ZOO, find_bundle, shipped
from fer.bundle.registry import Registry
from fer.errors import FerError
from fer.faces.choose import choose_detector
from fer.faces.face import Detector
from fer.predict import Predictor, cores

_MODELS = 8  # that are kept in memory at most
_TURNS = threading.BoundedSemaphore(cores())
# A film is decoded, drawn in and compressed outside the turns of its frames: films are counted as a whole.
_FILMS = threading.BoundedSemaphore(cores())
_PROMPT = 0.2  # seconds that a camera waits
_LOOKS_UP = 0.5  # seconds between two looks of a visitor who waits with a film


@dataclass(frozen=True)
class Version:
    """A model that a visitor may choose.

    Attributes:
        reference: What `predictor` takes; None is the one that the app was started with.
        title: What it is called on a page; never a path.
        card: What it is.
    """

    reference: str | None
    title: str
    card: Card


@contextmanager
def turn() -> Iterator[None]:
    """Wait until a processor is free: of many visitors' computations only so many run at a time."""
    with _TURNS:
        yield


@contextmanager
def prompt_turn() -> Iterator[None]:
    """Wait a moment for a free processor: a camera's frame is of no use later, and its thread must not hang.

    Raises:
        BusyError: None is free.
    """
    if not _TURNS.acquire(timeout=_PROMPT):
        raise BusyError
    try:
        yield
    finally:
        _TURNS.release()


@contextmanager
def film_turn(waiting: Callable[[], object]) -> Iterator[None]:
    """Wait until a film may be judged: as many at a time as there are processors.

    Args:
        waiting: Called again and again while other films are judged; what it raises ends the wait.
    """
    while not _FILMS.acquire(timeout=_LOOKS_UP):
        waiting()
    try:
        yield
    finally:
        _FILMS.release()


def predictor(model: str | None = None) -> Predictor:
    """Return what judges faces, the same object for all visitors; loaded when it is first asked for.

    Args:
        model: The reference of a `Version`; None takes the model that the app was started with.

    Raises:
        FerError: There is no such model or detector, or its files do not fit.
    """
    return _load(model, settings())


def versions() -> list[Version]:
    """Return the models that can be chosen: the app's own first, then those of the registry, newest first.

    A version whose card is damaged is left out.
    """
    here = settings()
    own = _load(None, here).card  # the model that answers, whatever the registry made of its name since
    cards = {name: ZOO / name / CARD for name in shipped()}  # of the models that come with the package
    registry = Registry(here.models)
    for name in registry.names():
        for number in reversed(registry.versions(name)):
            cards[f"{name}:{number}"] = registry.folder / name / str(number) / CARD
    others = [Version(reference, reference, card) for reference, card in _readable(cards)]
    return [Version(None, model_name(own), own), *(other for other in others if other.card != own)]


def bundle_of(model: str | None, here: Settings) -> Bundle:
    """Open the bundle that a reference means under these settings.

    Raises:
        FerError: There is none, or it cannot be used.
    """
    if model in shipped():  # a bare name in the list of versions; those of the registry have their number
        return read_bundle(ZOO / model)
    wanted = model if model is not None else here.model
    if wanted is not None and wanted.partition(":")[0] in Registry(here.models).names():
        return Registry(here.models).find(wanted)
    return find_bundle(wanted)


def _readable(cards: Mapping[str, Path]) -> Iterator[tuple[str, Card]]:
    for reference, path in cards.items():
        with suppress(FerError):  # one damaged card does not hide the others
            yield reference, read_card(path)


@st.cache_resource(max_entries=_MODELS, show_spinner=False)
def _load(model: str | None, here: Settings) -> Predictor:
    # A thread a computation: two visitors are served side by side rather than one after the other.
    return Predictor(bundle_of(model, here), _detector(here.detector, here.detector_model), threads=1)


@st.cache_resource(show_spinner=False)
def _detector(name: str, model_file: str | None) -> Detector:
    return choose_detector(name, model_file)
