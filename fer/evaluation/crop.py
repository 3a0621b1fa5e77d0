"""How faces are cropped for a run: as in the images that it was trained on."""

from collections.abc import Sequence

from fer.bundle.card import CROP_RULES, UNMEASURED, CropRule
from fer.evaluation.runs import TrainedRun

# Data sets that share the images, and so the crops, of another.
_SAME_IMAGES = {"ferplus": "fer2013"}


def crop_rule(runs: Sequence[TrainedRun], requested: str | None = None) -> CropRule:
    """Return the crop rule of the images that runs were trained on.

    Args:
        runs: One or more runs.
        requested: A key of `CROP_RULES`; None: that of aligned faces if all runs were trained on these, or
            else the rule of the data sets, or `UNMEASURED` if they have none or different ones.
    """
    if requested is not None:
        return CROP_RULES[requested]
    if all("landmarks" in run.checkpoint.manifest for run in runs):
        return CROP_RULES["aligned"]
    rules = {_rule_name(name) for run in runs for name in run.checkpoint.dataset_names}
    return CROP_RULES[rules.pop() if len(rules) == 1 else UNMEASURED]


def _rule_name(data: str) -> str:
    name = _SAME_IMAGES.get(data, data)
    return name if name in CROP_RULES else UNMEASURED
