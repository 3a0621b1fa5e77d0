"""The trials of a grid, each checked as what it composes to before the first one starts."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fer.core.errors import FerError
from fer.core.names import file_name
from fer.data.readers.factory import read_dataset
from fer.sweep.compose import Composer
from fer.sweep.plan import Plan
from fer.sweep.validate import check_base
from fer.training.config import RunConfig
from fer.training.grid import Grid, common_error, short_words
from fer.training.metrics import check_monitor_emotion
from fer.training.overrides import check_additions, has_default_name, to_run_config


@dataclass(frozen=True)
class GridTrial:
    """A trial of a grid.

    Attributes:
        words: Its overrides, those with several values only.
        config: Its config.
        name: Name of the run, from the overrides unless the user has set one.
        folder: Returns the name of its run folder for the number of the trial.
    """

    words: list[str]
    config: RunConfig
    name: str
    folder: Callable[[int], str]


def plan_trials(grid: Grid, compose: Composer) -> list[GridTrial]:
    """Return the trials of a grid.

    Raises:
        FerError: A trial cannot be composed or has a wrong value; the message says which.
    """
    trials, errors = [], {}
    for number, words in enumerate(combinations := grid.trials()):
        try:
            trials.append(_plan_trial(words, compose))
        except FerError as error:
            errors[number] = error
    if (found := common_error(errors, combinations)) is not None:
        raise found
    check_additions([*grid.fixed, *trials[0].words])
    return trials


def _plan_trial(words: list[str], compose: Composer) -> GridTrial:
    config = compose.trial_config(words)
    is_named = words and has_default_name(config)
    # Resolved once, because the default has random digits.
    config.name = file_name("_".join(short_words(words))) if is_named else config.name
    run_config = to_run_config(config)
    return GridTrial(words, run_config, run_config.name, compose.run_folder(config, words))


def check_trials(trials: Sequence[GridTrial], plan: Plan) -> None:
    """Check the objective, and what no trial of a sweep may have.

    Raises:
        FerError: The objective is no validation metric, or an option is not possible in a sweep.
    """
    trials[0].config.replace(monitor=plan.objective)
    errors = {}
    for number, trial in enumerate(trials):
        try:
            check_base(trial.config, plan)
        except FerError as error:
            errors[number] = error
    if (found := common_error(errors, [trial.words for trial in trials])) is not None:
        raise found


def check_trials_data(trials: Sequence[GridTrial]) -> None:
    """Read each data set of the trials once.

    Raises:
        FerError: One cannot be read, or lacks the emotion of its monitor; the message says of which trial.
    """
    seen: dict[str, FerError | None] = {}
    errors = {}
    for number, trial in enumerate(trials):
        data = trial.config.data.to_dict()
        node = {key: value for key, value in data.items() if not key.endswith("batch_size")}
        key = json.dumps([node, trial.config.monitor], sort_keys=True)
        if key not in seen:
            seen[key] = _data_error(trial.config)
        if (error := seen[key]) is not None:
            errors[number] = error
    if (found := common_error(errors, [trial.words for trial in trials])) is not None:
        raise found


def _data_error(config: RunConfig) -> FerError | None:
    try:
        check_monitor_emotion(config.monitor, read_dataset(config.data).labels)
    except FerError as error:
        return error
    return None
