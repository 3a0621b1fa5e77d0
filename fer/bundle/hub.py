"""Load bundles from the Hugging Face Hub, ``hf:owner/name[@revision]``, and record which commit it was.

A revision that is named is a pin: what it was when it was first loaded is recorded in the folder ``hub`` of
the cache, and a tag or branch that has another model later is refused. Without a revision, the newest commit
is loaded.
"""

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from fer.bundle.files import CARD, MODEL, Bundle, read_bundle, sha256
from fer.core.errors import FerError
from fer.core.hub import MAIN, HubReference, download, parse_reference
from fer.core.paths import atomic_write, cache_folder

_SHOWN = 12


@dataclass(frozen=True)
class Pin:
    """What a revision was when it was first loaded.

    Attributes:
        commit: 40 hexadecimal digits.
        model_sha256: SHA-256 of `model.onnx`.
        card_sha256: SHA-256 of `card.json`.
        time: UTC, ISO 8601.
    """

    commit: str
    model_sha256: str
    card_sha256: str
    time: str


def load_from_hub(name: str) -> Bundle:
    """Open a bundle of the Hub; it is downloaded unless the cache has its commit.

    Args:
        name: ``hf:owner/name``, or ``hf:owner/name@revision`` with a branch, tag or commit.

    Returns:
        The bundle in the cache; its ``origin`` is ``hf:owner/name@commit``.

    Raises:
        FerError: It cannot be downloaded and is not in the cache, is not a bundle, or the revision has
            another model than when it was first loaded.
    """
    reference = parse_reference(name)
    folder = download(reference, (CARD,))
    commit = replace(reference, revision=folder.name)
    card_sha256, pin = sha256(folder / CARD), _read_pin(reference)
    if pin is not None and (pin.card_sha256 != card_sha256):
        raise _changed_error(reference, pin, folder.name, "card", card_sha256)
    folder = download(commit, (CARD, MODEL))
    try:
        bundle = replace(read_bundle(folder), origin=str(commit))
    except FerError as error:
        raise FerError(
            f"{commit}: {error} Delete {folder.parent.parent} to download it again; if that does not help, "
            "its owner has to push it again."
        ) from error
    model_sha256 = bundle.card.model["sha256"]
    if pin is not None and pin.model_sha256 != model_sha256:
        raise _changed_error(reference, pin, folder.name, "model", model_sha256)
    if pin is None and _is_pinned(reference):
        now = datetime.now(UTC).isoformat(timespec="seconds")
        _write_pin(reference, Pin(folder.name, model_sha256, card_sha256, now))
    return bundle


def _changed_error(reference: HubReference, pin: Pin, commit: str, part: str, digest: str) -> FerError:
    expected = pin.card_sha256 if part == "card" else pin.model_sha256
    return FerError(
        f"{reference}: expected the {part} with SHA-256 {expected[:_SHOWN]}… of commit "
        f"{pin.commit[:_SHOWN]}, as on {pin.time[:10]}, got {digest[:_SHOWN]}…: the revision was changed. "
        f"Name a commit: hf:{reference.repo}@{pin.commit} is the earlier one, hf:{reference.repo}@{commit} "
        f"the new one. Or delete {_pin_path(reference)} to accept the change."
    )


def _is_pinned(reference: HubReference) -> bool:
    return reference.revision not in (None, MAIN)


def _pin_path(reference: HubReference) -> Path:
    return cache_folder() / "hub" / f"{quote(str(reference), safe='@')}.json"


def _read_pin(reference: HubReference) -> Pin | None:
    """Return what a revision was; None if it was not loaded before, or the record is damaged."""
    if not _is_pinned(reference):
        return None
    with suppress(OSError, ValueError, TypeError):
        return Pin(**json.loads(_pin_path(reference).read_text(encoding="utf-8")))
    return None


def _write_pin(reference: HubReference, pin: Pin) -> None:
    """Record a revision; without a writable cache it is not recorded."""
    path = _pin_path(reference)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write(json.dumps(vars(pin), indent=2).encode() + b"\n")
