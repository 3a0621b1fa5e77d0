"""The recall of each emotion of two candidates, and their paired difference on the same images."""

from dataclasses import dataclass

import numpy as np

from fer.analysis.metrics.classification import RESAMPLES
from fer.analysis.metrics.comparison import Candidate
from fer.analysis.metrics.estimate import MIN_IMAGES, Estimate, proportion
from fer.analysis.metrics.hypothesis_tests import holm
from fer.analysis.metrics.intervals import metric_range, resample_means
from fer.analysis.metrics.matching import MatchedImages
from fer.analysis.metrics.paired import (
    Difference,
    Scores,
    count_discordant,
    mean_over_seeds,
    paired_difference,
    pooled_seed_variance,
)


@dataclass(frozen=True)
class EmotionRecall:
    """The recall of an emotion of candidates A and B. The field names are keys of metrics.json.

    Attributes:
        emotion: Its name.
        images: Number of images with this label.
        recalls: Of A and B, mean over their seeds.
        difference: A minus B; None with fewer than `MIN_IMAGES` images.
        p_holm: Two-sided p-value of the difference, corrected for all emotions (Holm); None likewise.
    """

    emotion: str
    images: int
    recalls: tuple[Estimate, Estimate]
    difference: Difference | None
    p_holm: float | None


def compare_emotions(images: MatchedImages, a: Candidate, b: Candidate) -> list[EmotionRecall]:
    """Compare two candidates on the images of each emotion; emotions without images are left out."""
    rows = [_compare(images, number, a, b) for number in range(len(images.labels))]
    known = [row for row in rows if row is not None]
    corrected = iter(holm([row.difference.p for row in known if row.difference is not None]).tolist())
    return [
        EmotionRecall(
            row.emotion, row.images, row.recalls, row.difference,
            None if row.difference is None else next(corrected),
        )
        for row in known
    ]  # fmt: skip


def _compare(images: MatchedImages, emotion: int, a: Candidate, b: Candidate) -> EmotionRecall | None:
    """Return the recalls and their difference, without the corrected p-value; None without images."""
    selected = images.target == emotion
    if not (n := int(selected.sum())):
        return None
    members = [*a.members, *b.members]
    correct = np.stack([images.probs[member][selected].argmax(1) == emotion for member in members])
    rng = np.random.default_rng(0)
    resampled = resample_means(correct.T.astype(np.float32), np.zeros(n, np.int64), RESAMPLES, rng)
    # Sums in float32 may give a recall just outside.
    scores = Scores(correct.mean(1), resampled.clip(0, 1), limits=metric_range("recall"))
    columns = list(range(len(a.members))), list(range(len(a.members), len(members)))
    seeds = pooled_seed_variance(scores, columns)
    recalls = tuple(
        mean_over_seeds(scores, part, n, seeds) if len(part) > 1 else proportion(int(correct[part].sum()), n)
        for part in columns
    )
    discordant = count_discordant(*(correct[part] for part in columns))
    difference = paired_difference(scores, *columns, discordant, seeds) if n >= MIN_IMAGES else None
    return EmotionRecall(images.labels.names[emotion], n, (recalls[0], recalls[1]), difference, None)
