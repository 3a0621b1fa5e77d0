"""Compare models of which some were trained on merged emotions: the others' probabilities are added up."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from fer.analysis.predictions import Predictions
from fer.core.errors import FerError
from fer.core.labels import LabelSpace

# Merged emotion -> the emotions that it stands for
Merges = Mapping[str, tuple[str, ...]]


def merge_alike(tables: Sequence[Predictions]) -> tuple[list[Predictions], list[str]]:
    """Return predictions over the merged emotions that some of the models were trained on.

    Where a model predicts the single emotions of another's merge, their probabilities are added up, which is
    the probability of the merged emotion. A model that merged one of them otherwise stays as it is.

    Args:
        tables: Predictions; ``about.trained_on`` has the merges of the training (`fer.data.emotions`).

    Returns:
        The predictions, and a note for each merge that was applied.

    Raises:
        FerError: Two models use one name for different emotions.
    """
    merges: dict[str, tuple[str, ...]] = {}
    origin: dict[str, str] = {}
    for table in tables:
        for name, members in _merges(table).items():
            if set(merges.setdefault(name, members)) != set(members):
                first, second = " + ".join(merges[name]), " + ".join(members)
                raise FerError(
                    f"RUNS: expected one meaning of {name}, got {first} in {origin[name]} and {second} in "
                    f"{table.about.run}. Compare runs with the same datamodule.merge."
                )
            origin.setdefault(name, table.about.run)
    merged, notes = [], []
    for table in tables:
        own = _merges(table)
        taken = {member for members in own.values() for member in members}
        for name, members in merges.items():
            present = [member for member in members if member in table.labels.names]
            if name not in own and present and not taken & set(members):
                table = _merge(table, name, present)
                notes.append(f"{table.about.run}: {name} is the sum of {', '.join(present)}.")
        merged.append(table)
    return merged, notes


def _merges(table: Predictions) -> Merges:
    choice = table.about.trained_on.get("emotions") or {}
    return {name: tuple(members) for name, members in choice.get("merge", {}).items()}


def _merge(table: Predictions, name: str, members: Sequence[str]) -> Predictions:
    """Return predictions with one column for several, at the place of the first."""
    names = list(dict.fromkeys(name if emotion in members else emotion for emotion in table.labels.names))
    numbers = [names.index(name if emotion in members else emotion) for emotion in table.labels.names]
    probs = np.zeros((len(table), len(names)), table.probs.dtype)
    np.add.at(probs.T, numbers, table.probs.T)
    return replace(
        table,
        labels=LabelSpace(f"{table.labels.name}-merged", tuple(names)),
        target=np.asarray(numbers)[table.target],
        probs=probs,
        logits=np.log(np.maximum(probs, np.finfo(np.float32).tiny)),
        votes=None,
    )
