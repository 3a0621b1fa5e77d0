"""The data of an evaluation: images to score, and what each run was trained on. Every set is read once."""

import json
from collections.abc import Mapping
from copy import copy
from functools import cached_property
from typing import Any

from fer.data.dataset import EmotionData
from fer.errors import FerError
from fer.places import at_home
from fer.scoring.runs import TrainedRun
from fer.scoring.source import data_options
from fer.scoring.subject import Subject, choose, read_data
from fer.scoring.trace import Provenance, trace

_LOOK = ("size", "color")  # of pictures, as a model was trained on them
_NOT_OF_THE_DATA = {"batch_size", "eval_batch_size", "workers", "memory_gb"}


class Scene:
    """Where runs are scored.

    Args:
        run: The first of them: its data is scored, in its label space.
        role: ``train``, ``val``, ``test`` or ``all``.
        path: Where its data lies now, see `fer.scoring.source.data_options`.
        other: ``kind:path`` of another set to score.

    Raises:
        FerError: The data is not there, or has no such split or emotion.
    """

    def __init__(self, run: TrainedRun, role: str, path: str | None = None, other: str | None = None) -> None:
        self._path, self._other = path, other
        self._sets: dict[str, EmotionData] = {}
        self._traced: dict[tuple[int, str], Provenance] = {}
        self._others: dict[str, Scene] = {}
        self._options = data_options(run.trained.config, path, other)
        self.run, self.role = run, role

    @cached_property
    def whole(self) -> EmotionData:
        """Return the set that is scored, all of it."""
        return self._read(self._options)

    @cached_property
    def subject(self) -> Subject:
        """Return the images to score."""
        return choose(self.whole, self.role, self.run.trained.labels)

    def scene_of(self, run: TrainedRun) -> "Scene":
        """Return where a run is scored: here, or where these pictures have the size and colour it needs."""
        own = data_options(run.trained.config, self._path, self._other)
        options = self._options | {name: own[name] for name in _LOOK if name in own and name in self._options}
        if options == self._options:
            return self
        other = copy(self)
        other._options, other._traced = options, {}
        for name in ("whole", "subject"):
            vars(other).pop(name, None)
        return self._others.setdefault(self._key(options), other)

    def trained_on(self, run: TrainedRun) -> EmotionData | None:
        """Return the set that a run was trained on; ``None`` where it is gone and another is scored."""
        if self._other is None:
            return self._read(data_options(run.trained.config, self._path))
        try:
            return self._read(data_options(run.trained.config))
        except FerError:
            return None

    def provenance(self, run: TrainedRun) -> Provenance:
        """Return what the images have to do with the training of a run."""
        own = self.trained_on(run)
        key = (id(own), json.dumps(run.trained.manifest, sort_keys=True))
        if key not in self._traced:
            self._traced[key] = trace(run, self.subject, self.whole, own)
        return self._traced[key]

    def validation(self, run: TrainedRun) -> Subject | None:
        """Return the validation images of a run's own set, if it is there."""
        own = self.trained_on(run)
        return None if own is None or "val" not in own.roles else choose(own, "val", run.trained.labels)

    def _read(self, options: Mapping[str, Any]) -> EmotionData:
        key = self._key(options)
        if key not in self._sets:
            self._sets[key] = read_data(options)
        return self._sets[key]

    @staticmethod
    def _key(options: Mapping[str, Any]) -> str:
        """Return what is the same for two ways to name one set, and other for another."""
        known = {name: value for name, value in options.items() if name not in _NOT_OF_THE_DATA}
        if known.get("path"):
            known["path"] = str(at_home(known["path"]).resolve())
        return json.dumps(known, sort_keys=True, default=str)
