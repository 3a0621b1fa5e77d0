"""A sweep's trials as Optuna's plots can show them all: those look at finished trials alone."""

from collections.abc import Callable, Mapping

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from fer.sweep.search import STEPS
from fer.sweep_reporting.found import FoundSweep


def reached(sweep: FoundSweep) -> Study:
    """Return a study in which every measured trial counts, with the best value that it reached."""
    return _retold(sweep, sweep.reached, {})


def reached_by_key(sweep: FoundSweep) -> Study:
    """Return the same with the ranges of one key, as of ``optimizer.lr`` for each optimizer, as one."""
    return _retold(sweep, sweep.reached, _joined(sweep))


def early(sweep: FoundSweep) -> tuple[Study, float]:
    """Return a study of values at the last share of the schedule that all measured trials have got to."""
    step = min((max(trial.intermediate_values) for trial in sweep.judged), default=0)
    return _retold(sweep, lambda trial: _value_at(trial, step), {}), step / STEPS


def _value_at(trial: FrozenTrial, step: int) -> float | None:
    done = [other for other in trial.intermediate_values if other <= step]
    return trial.intermediate_values[max(done)] if done else None


def _retold(
    sweep: FoundSweep,
    value_of: Callable[[FrozenTrial], float | None],
    joined: Mapping[str, tuple[str, BaseDistribution]],
) -> Study:
    """Return a study in memory; ``joined`` is name -> another name and range for it."""
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(direction=sweep.study.direction, storage=storage, study_name=sweep.name)
    for trial in sweep.judged:
        if (value := value_of(trial)) is not None:
            places = {name: joined.get(name, (name, own)) for name, own in trial.distributions.items()}
            study.add_trial(
                create_trial(
                    params={places[name][0]: chosen for name, chosen in trial.params.items()},
                    distributions=dict(places.values()),
                    value=value,
                    user_attrs={"pruned": trial.state == TrialState.PRUNED},
                )
            )
    return study


def _joined(sweep: FoundSweep) -> dict[str, tuple[str, BaseDistribution]]:
    """Return the ranges of a key that differ by another's choice: name -> key and the range over all."""
    known = {name: own for trial in sweep.judged for name, own in trial.distributions.items()}
    by_key: dict[str, dict[str, BaseDistribution]] = {}
    for name, own in known.items():
        by_key.setdefault(name.partition("[")[0], {})[name] = own
    found: dict[str, tuple[str, BaseDistribution]] = {}
    for key, several in by_key.items():
        ranges = [own for own in several.values() if isinstance(own, FloatDistribution) and own.step is None]
        if len(ranges) == len(several) and len({own.log for own in ranges}) == 1:
            low, high = min(own.low for own in ranges), max(own.high for own in ranges)
            found |= dict.fromkeys(several, (key, FloatDistribution(low, high, log=ranges[0].log)))
    return found
