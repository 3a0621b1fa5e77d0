"""Resources shared by all visitors of a process: detector, models, model versions, compute slots."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import streamlit as st

from fer.app.settings import Settings, settings
from fer.bundle.card import Card, model_name, read_card
from fer.bundle.files import CARD, Bundle, read_bundle
from fer.bundle.registry import ZOO, Registry, find_bundle, packaged_models
from fer.core.errors import FerError
from fer.core.threads import available_cores
from fer.faces.base import Detector
from fer.faces.detectors import YUNET_ENV_VAR, choose_detector
from fer.faces.yunet import yunet_in_cache
from fer.predict.predictor import Predictor

_MAX_LOADED_MODELS = 8
_COMPUTE_SLOTS = threading.BoundedSemaphore(available_cores())
# Limits the number of parallel videos: decoding, annotation and encoding happen outside the compute slots.
_VIDEO_SLOTS = threading.BoundedSemaphore(available_cores())
# Seconds that a camera frame waits for a compute slot.
_FRAME_TIMEOUT = 0.2
# Returns a context manager within which a frame may be computed.
Slot = Callable[[], AbstractContextManager[object]]
# Seconds between two attempts to get a video slot.
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Version:
    """A model version that a visitor can choose.

    Attributes:
        reference: Argument for `get_predictor`; None is the model that the app was started with.
        title: Display name; never a path.
        card: Model card.
    """

    reference: str | None
    title: str
    card: Card


class BusyError(Exception):
    """No compute slot is free; the camera frame is dropped."""


def compute_slot() -> AbstractContextManager[object]:
    """Return a context manager that waits for a compute slot: there are as many as CPU cores."""
    return _COMPUTE_SLOTS


@contextmanager
def try_compute_slot() -> Iterator[None]:
    """Wait at most 0.2 s for a compute slot: a late camera frame is useless, and its thread must not block.

    Raises:
        BusyError: No slot is free.
    """
    if not _COMPUTE_SLOTS.acquire(timeout=_FRAME_TIMEOUT):
        raise BusyError
    try:
        yield
    finally:
        _COMPUTE_SLOTS.release()


@contextmanager
def video_slot(waiting: Callable[[], object]) -> Iterator[None]:
    """Wait for a video slot: as many videos are analysed at a time as there are CPU cores.

    Args:
        waiting: Called repeatedly while no slot is free; an exception that it raises ends the wait.
    """
    while not _VIDEO_SLOTS.acquire(timeout=_POLL_SECONDS):
        waiting()
    try:
        yield
    finally:
        _VIDEO_SLOTS.release()


def get_predictor(model: str | None = None, detector: str | None = None) -> Predictor:
    """Return the predictor of a model; loaded on first use and shared by all visitors.

    Args:
        model: Reference of a `Version`; None is the model that the app was started with.
        detector: Name of another face detector than the app's.

    Raises:
        FerError: The model or detector does not exist, or its files do not match.
    """
    predictor = _load(model, settings())
    if detector in (None, getattr(predictor.detector, "name", None)):
        return predictor
    # With the same classifier, which is large.
    other = copy(predictor)
    other.detector = _detector(detector, None)
    return other


def available_detectors(current: Detector) -> list[str]:
    """Return the names of the face detectors to choose from, the app's first.

    They need no download and little memory: MTCNN, which loads PyTorch, is only offered if the app uses it.

    Args:
        current: The app's detector.
    """
    installed = {
        "yunet": os.environ.get(YUNET_ENV_VAR) or yunet_in_cache(),
        "haar": hasattr(cv2, "CascadeClassifier"),
    }
    name = getattr(current, "name", "")
    return [name, *(other for other, works in installed.items() if works and other != name)]


def list_versions() -> list[Version]:
    """Return the models to choose from: the app's model, those of the package, then those of the registry.

    Registry versions are listed newest first. A version with a damaged card is left out.
    """
    current = settings()
    # The card of the loaded model: an alias in the registry may have moved since.
    app_card = _load(None, current).card
    cards = {name: ZOO / name / CARD for name in packaged_models()}
    registry = Registry(current.models)
    for name in registry.names():
        for number in reversed(registry.versions(name)):
            cards[f"{name}:{number}"] = registry.folder / name / str(number) / CARD
    versions = [Version(None, model_name(app_card), app_card)]
    for reference, path in cards.items():
        # OSError: the version was deleted meanwhile.
        with suppress(FerError, OSError):
            if (card := _read_card(path, path.stat().st_mtime_ns)) != app_card:
                versions.append(Version(reference, reference, card))
    return versions


@lru_cache(maxsize=1024)
def _read_card(path: Path, modified: int) -> Card:
    """Return a card; read once, as pages list the versions in every run, and again after a modification."""
    return read_card(path)


def open_bundle(model: str | None, current: Settings) -> Bundle:
    """Return the bundle of a version's reference.

    Raises:
        FerError: The bundle does not exist or cannot be used.
    """
    # In the list of versions, a bare name is a model of the package; those of the registry have a number.
    if model in packaged_models():
        return read_bundle(ZOO / model)
    reference = model if model is not None else current.model
    if reference is not None and reference.partition(":")[0] in Registry(current.models).names():
        return Registry(current.models).load(reference)
    return find_bundle(reference)


@st.cache_resource(max_entries=_MAX_LOADED_MODELS, show_spinner=False)
def _load(model: str | None, current: Settings) -> Predictor:
    # One thread per computation: visitors are served in parallel rather than one after another.
    detector = _detector(current.detector, current.detector_model)
    return Predictor(open_bundle(model, current), detector, threads=1, device=current.device)


_detector = st.cache_resource(show_spinner=False)(choose_detector)
