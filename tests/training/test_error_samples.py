"""The errors that W&B and TensorBoard show."""

import numpy as np
import pytest
import torch

from fer.training.error_samples import ErrorFinder

NAMES = ("angry", "happy", "sad")


def finder(probabilities, targets, rows):
    """Return a finder that got the images in two batches, the second one with soft labels."""
    logits, targets, rows = torch.tensor(probabilities).log(), torch.tensor(targets), torch.tensor(rows)
    found = ErrorFinder()
    found.add(None, {"target": targets})
    found.add({"logits": logits[:2], "index": rows[:2]}, {"target": targets[:2]})
    soft = torch.nn.functional.one_hot(targets[2:], 3).float()
    found.add({"logits": logits[2:], "index": rows[2:]}, {"target": soft})
    return found


@pytest.fixture
def images():
    """Images whose pixels are their row."""
    return np.broadcast_to(np.arange(20, dtype=np.uint8)[:, None, None, None], (20, 4, 4, 1))


def test_errors_are_the_most_certain_and_those_with_the_highest_loss(images):
    probabilities = [[0.8, 0.1, 0.1], [0.05, 0.9, 0.05], [0.3, 0.6, 0.1], [0.49, 0.5, 0.01], [0.1, 0.2, 0.7]]
    found = finder(probabilities, [0, 2, 0, 2, 1], [11, 12, 13, 14, 15])
    first, second, third = found.find(images, NAMES, count=2)
    assert [sample.index for sample in (first, second, third)] == [12, 15, 14]
    assert (first.true, first.predicted, first.reason) == ("sad", "happy", "both")
    assert (first.confidence, first.true_probability) == pytest.approx((0.9, 0.05))
    assert first.loss == pytest.approx(-np.log(0.05))
    assert (second.true, second.predicted, second.reason) == ("happy", "sad", "most certain")
    assert (third.reason, third.loss) == ("highest loss", pytest.approx(-np.log(0.01)))
    assert [int(sample.image.max()) for sample in (first, second, third)] == [12, 15, 14]


def test_there_may_be_no_error_and_no_prediction(images):
    found = finder([[0.8, 0.1, 0.1]] * 3, [0, 0, 0], [1, 2, 3])
    assert found.find(images, NAMES) == []
    found.clear()
    assert found.find(images, NAMES) == []
