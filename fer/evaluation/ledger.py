"""The ledger of test scores: an append-only file with one line for every evaluation of a test split.

Test images are recognized by their hash, and parts of them or copies in another format by their sketch
(`fer.data.sketch`).
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from filelock import FileLock

from fer.analysis.about import About
from fer.analysis.metrics.classification import RESAMPLES, count_estimates
from fer.core.errors import FerError
from fer.data.sketch import estimate_overlap

FILENAME = "test_ledger.jsonl"
# Metrics of an entry
LEDGER_METRICS = ("accuracy", "macro_f1", "uar")
# Minimum overlap of two sets that count as the same test images, as a proportion of the smaller set. A
# smaller overlap comes from single duplicates between two sets
MIN_OVERLAP = 0.1


@dataclass(frozen=True)
class History:
    """Earlier scores of a recipe on the same test images. The field names are keys of metrics.json.

    Attributes:
        same_model: Earlier scores of these exact weights on these images.
        same_recipe: Earlier scores of the recipe on these images: ``same_model`` and other seeds.
        recipes: Number of different recipes with a score on these images.
        damaged: Lines that cannot be read, so that there may be more scores.
    """

    same_model: int
    same_recipe: int
    recipes: int
    damaged: int


class Ledger:
    """An append-only file with a JSON object on each line. Several processes can write at the same time.

    Args:
        folder: The folder of all runs, ``outputs``.
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder) / FILENAME

    def append(self, *entries: Mapping[str, Any]) -> Self:
        """Append complete lines, all in one write.

        Args:
            entries: Entries from `make_entry`.

        Raises:
            FerError: The file cannot be written. The score must then not be shown.
        """
        lines = "".join(f"{json.dumps(dict(entry), sort_keys=True)}\n" for entry in entries)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path.with_name(f".{FILENAME}.lock"), mode=0o666)
            with lock, self.path.open("ab+") as file:
                # The last line is incomplete if its writer was killed or the disk was full
                if file.tell() and file.seek(-1, os.SEEK_END) and file.read(1) != b"\n":
                    lines = f"\n{lines}"
                file.write(lines.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise FerError(
                f"{self.path}: the score of a test split must be recorded here, but the file cannot be "
                f"written ({error.strerror}). Make it writable, or copy the run to a writable folder."
            ) from error
        return self

    def entries(self) -> tuple[list[dict[str, Any]], int]:
        """Return all entries, oldest first, and the number of lines that cannot be read."""
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return [], 0
        except OSError as error:
            raise FerError(f"{self.path}: cannot be read ({error.strerror}).") from error
        parsed = [_parse(line) for line in lines if line.strip()]
        entries = [entry for entry in parsed if entry is not None]
        return entries, len(parsed) - len(entries)

    def history(self, about: About) -> History:
        """Count the earlier scores on the same test images.

        Args:
            about: ``about`` of the predictions. The scores of its members count as its own.
        """
        entries, damaged = self.entries()
        models = (about, *about.members)
        recipe_hashes = {model.recipe_sha256 for model in models}
        model_hashes = {model.model_sha256 for model in models}
        earlier = [About.from_dict(entry) for entry in entries]
        same_images = [one for one in earlier if _has_same_images(one, about)]
        same_recipe = [one for one in same_images if one.recipe_sha256 in recipe_hashes]
        same_model = [one for one in same_recipe if one.model_sha256 in model_hashes]
        recipes = {one.recipe_sha256 for one in same_images}
        return History(len(same_model), len(same_recipe), len(recipes), damaged)


def make_entry(about: About, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ledger entry of a score.

    Args:
        about: ``about`` of the predictions.
        result: Metric -> plain values, with n and interval.
    """
    keys = (
        "run", "checkpoint", "seed", "model_sha256", "recipe_sha256", "data", "split", "role", "manifest",
        "test_images", "test_marks", "tta",
    )  # fmt: skip
    facts = about.to_dict()
    return {"when": about.created, **{key: facts[key] for key in keys}, "result": dict(result)}


def score_entry(about: About, target: np.ndarray, probs: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Return the ledger entry of probabilities ``(N, K)`` for images with the labels ``target``, ``(N,)``."""
    estimates = count_estimates(target, probs, names, RESAMPLES, np.random.default_rng(0))
    return make_entry(about, {name: vars(estimates[name]) for name in LEDGER_METRICS})


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(line)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _has_same_images(first: About, second: About) -> bool:
    """Return whether two scores are of the same test images, or of sets that overlap by `MIN_OVERLAP`.

    The sketches in ``test_marks`` are of perceptual hashes, so they match in any order, file format or size,
    in gray or in colour.
    """
    if _images_sha256(first) == _images_sha256(second):
        return True
    return estimate_overlap(first.test_marks, second.test_marks) >= MIN_OVERLAP


def _images_sha256(about: About) -> str | None:
    """Return the content hash of the test images among those scored."""
    manifest = about.manifest
    return about.test_images or manifest.get("pixels_sha256") or manifest.get("files_sha256")
