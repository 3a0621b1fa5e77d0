"""What a search optimises beside its first objective: further objectives, and limits of the cost in use."""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial
from pydantic import Field

from fer.core.config import Config, Number
from fer.core.errors import FerError, did_you_mean
from fer.training.metrics import check_monitor, is_known_after_validation, monitor_mode

# Objectives that are known before training: size of the exported network in 10^6 bytes, and its time for one
# face on one CPU thread in milliseconds.
COSTS = {"export_mb": "perf/export_mb", "export_ms": "perf/export_ms"}

Limit = Annotated[Number, Field(gt=0)] | None


class Constraints(Config):
    """Limits of the cost of an exported network; trials beyond one are not trained.

    Attributes:
        export_mb: Size of the ONNX file, in 10^6 bytes.
        export_ms: Time for one face on one CPU thread, in milliseconds.
    """

    key: ClassVar[str] = "sweep.constraints"
    export_mb: Limit = None
    export_ms: Limit = None

    def limits(self) -> dict[str, float]:
        """Return name -> limit of those that are set."""
        return {name: float(limit) for name, limit in self if limit is not None}

    def excess(self, costs: Mapping[str, float]) -> dict[str, float]:
        """Return name -> cost minus limit; a trial is feasible where none is above 0.

        Args:
            costs: Value of each of `COSTS`.
        """
        return {name: costs[COSTS[name]] - limit for name, limit in self.limits().items()}


def check_objectives(objectives: Sequence[str]) -> None:
    """Check the objectives of a search.

    Raises:
        FerError: There are fewer than two, one is named twice or unknown, or the first one is a cost.
    """
    if len(set(objectives)) < max(2, len(objectives)):
        raise FerError(
            f"sweep.objectives: expected two different ones or more, got {list(objectives)!r}. For one, set "
            "sweep.objective=…"
        )
    if objectives[0] in COSTS.values():
        raise FerError(
            f"sweep.objectives: expected a validation metric first, got {objectives[0]}. The first one "
            "selects the checkpoint of each trial, e.g. [val/accuracy, perf/export_ms]."
        )
    for name in objectives:
        if name.startswith("perf/") and name not in COSTS.values():
            known = list(COSTS.values())
            raise FerError(
                f"sweep.objectives: expected validation metrics or {' or '.join(known)}, got {name}."
                f"{did_you_mean(name, known)}"
            )
        if name not in COSTS.values():
            check_monitor(name)
            check_not_training(name)


def check_not_training(name: str) -> None:
    """Check that the objective of a search is not a training metric.

    Raises:
        FerError: It is one.
    """
    if is_known_after_validation(name):
        raise FerError(
            f"sweep.objective: expected a validation metric such as val/loss, got {name}, which is best for "
            "a network that has memorised its training images."
        )


def directions(objectives: Sequence[str]) -> list[StudyDirection]:
    """Return the direction of each objective; costs are minimised."""
    modes = ["min" if name in COSTS.values() else monitor_mode(name) for name in objectives]
    return [StudyDirection.MINIMIZE if mode == "min" else StudyDirection.MAXIMIZE for mode in modes]


def with_first_value(trial: FrozenTrial) -> FrozenTrial:
    """Return a trial of several objectives as one of the first objective, whose value Optuna then gives."""
    if trial.values is None or len(trial.values) == 1:
        return trial
    return FrozenTrial(
        number=trial.number, state=trial.state, value=trial.values[0], datetime_start=trial.datetime_start,
        datetime_complete=trial.datetime_complete, params=trial.params, distributions=trial.distributions,
        user_attrs=trial.user_attrs, system_attrs=trial.system_attrs,
        intermediate_values=trial.intermediate_values, trial_id=trial._trial_id,
    )  # fmt: skip


def is_feasible(trial: FrozenTrial) -> bool:
    """Return whether a trial is within all limits; true without any."""
    return all(value <= 0 for value in trial.constraints.values())


def objectives_of(trial: FrozenTrial) -> dict[str, float]:
    """Return name -> value of the objectives of a finished trial; empty if it has only one."""
    return dict(trial.user_attrs.get("objectives", {}))


def beyond_limits(trial: FrozenTrial) -> str:
    """Return by which limits a trial was not trained, as text; empty if it was."""
    if is_feasible(trial):
        return ""
    costs = trial.user_attrs.get("costs", {})
    over = [f"{COSTS[name]} {costs[COSTS[name]]:.4g} > {costs[COSTS[name]] - value:.4g}"
            for name, value in trial.constraints.items() if value > 0]  # fmt: skip
    return f"not trained: {', '.join(over)}"


def front(study: Study) -> list[int]:
    """Return the numbers of the trials that no other one beats in every objective, by the first objective.

    Args:
        study: A study; with one objective there is no front.
    """
    if len(study.directions) == 1:
        return []
    sign = -1 if study.directions[0] == StudyDirection.MAXIMIZE else 1
    best = sorted(study.best_trials, key=lambda trial: sign * trial.values[0])
    return [trial.number for trial in best]


def values_text(values: Mapping[str, float]) -> str:
    """Return objectives after the first as text: ``perf/export_ms 1.234``."""
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items())
