"""In-memory studies for Optuna's plots, which show finished trials only: here every measured trial counts."""

from collections.abc import Callable, Mapping

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from fer.sweep.search import SCHEDULE_STEPS
from fer.sweep_reporting.found import SweepResults


def best_value_study(sweep: SweepResults) -> Study:
    """Return a study in which every measured trial is complete, with the best value that it reached.

    Optuna's plots show complete trials only.
    """
    return _plot_study(sweep, sweep.best_value, {})


def merged_key_study(sweep: SweepResults) -> Study:
    """Return `best_value_study` with the ranges of a key merged, e.g. ``optimizer.lr`` of all."""
    return _plot_study(sweep, sweep.best_value, _merged_ranges(sweep))


def early_value_study(sweep: SweepResults) -> tuple[Study, float]:
    """Return a study of the values at the last point that all measured trials have reached.

    Returns:
        The study, and that point as a fraction of the schedule.
    """
    step = min((max(trial.intermediate_values) for trial in sweep.measured), default=0)
    return _plot_study(sweep, lambda trial: _value_at(trial, step), {}), step / SCHEDULE_STEPS


def _value_at(trial: FrozenTrial, step: int) -> float | None:
    earlier = [other for other in trial.intermediate_values if other <= step]
    return trial.intermediate_values[max(earlier)] if earlier else None


def _plot_study(
    sweep: SweepResults,
    value_of: Callable[[FrozenTrial], float | None],
    merged: Mapping[str, tuple[str, BaseDistribution]],
) -> Study:
    """Return a study in memory; ``merged`` is name of a parameter -> new name and distribution."""
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(direction=sweep.study.direction, storage=storage, study_name=sweep.name)
    for trial in sweep.measured:
        if (value := value_of(trial)) is not None:
            renamed = {name: merged.get(name, (name, known)) for name, known in trial.distributions.items()}
            study.add_trial(
                create_trial(
                    params={renamed[name][0]: parameter for name, parameter in trial.params.items()},
                    distributions=dict(renamed.values()),
                    value=value,
                    user_attrs={"pruned": trial.state == TrialState.PRUNED},
                )
            )
    return study


def _merged_ranges(sweep: SweepResults) -> dict[str, tuple[str, BaseDistribution]]:
    """Return, for keys whose range depends on another choice: name -> key and the range over all choices."""
    known = {name: domain for trial in sweep.measured for name, domain in trial.distributions.items()}
    by_key: dict[str, dict[str, BaseDistribution]] = {}
    for name, domain in known.items():
        by_key.setdefault(name.partition("[")[0], {})[name] = domain
    merged: dict[str, tuple[str, BaseDistribution]] = {}
    for key, domains in by_key.items():
        ranges = [
            domain
            for domain in domains.values()
            if isinstance(domain, FloatDistribution) and domain.step is None
        ]
        if len(ranges) == len(domains) and len({domain.log for domain in ranges}) == 1:
            low, high = min(domain.low for domain in ranges), max(domain.high for domain in ranges)
            merged |= dict.fromkeys(domains, (key, FloatDistribution(low, high, log=ranges[0].log)))
    return merged
