"""The cost of a trial's network in use, measured once for each architecture of a sweep."""

import hashlib
import json

from fer.data.datamodule import RunData
from fer.export.cost import measure_cost
from fer.sweep.objectives import COSTS
from fer.sweep.storage import with_retries
from fer.sweep.study import SweepStudy
from fer.training.config import RunConfig


def network_costs(sweep_study: SweepStudy, config: RunConfig, data: RunData) -> dict[str, float]:
    """Return the value of each of `COSTS` for the network of a config.

    The study keeps it, so that all workers use the same value for the same architecture, also when the
    machine is busy at the time.

    Args:
        sweep_study: The sweep.
        config: The config of a trial.
        data: Its data set.

    Raises:
        FerError: The network cannot be exported.
    """
    shape, classes = data.dataset.images.shape, len(data.dataset.labels)
    network = [config.model.to_dict(), config.attention.to_dict(), shape[1:], classes]
    text = json.dumps(network, sort_keys=True, default=str)
    attribute = f"cost:{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    known = with_retries(lambda: sweep_study.study.user_attrs.get(attribute))
    if known is None:
        cost = measure_cost(config.model, config.attention, classes, shape[-1], shape[1])
        known = {COSTS["export_mb"]: cost.megabytes, COSTS["export_ms"]: cost.milliseconds}
        known = {name: round(value, 4) for name, value in known.items()}
        with_retries(lambda: sweep_study.study.set_user_attr(attribute, known))
    return dict(known)
