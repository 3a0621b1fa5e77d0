import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from fer.errors import FerError
from fer.losses import build_loss, class_weights

PLAIN = {"name": "cross_entropy", "label_smoothing": 0.0}


def test_class_weights_are_scikit_learns_balanced():
    targets = np.repeat(np.arange(4), [5, 1, 20, 3])
    expected = compute_class_weight("balanced", classes=np.arange(4), y=targets)
    np.testing.assert_allclose(class_weights([5, 1, 20, 3]), expected, rtol=1e-6)


def test_an_absent_class_weighs_nothing():
    weights = class_weights([10, 0, 30])
    assert weights[1] == 0
    assert (weights * torch.tensor([10, 0, 30])).sum() == pytest.approx(40)


def test_cross_entropy_against_its_definition():
    logits, targets = (
        torch.randn(6, 3, generator=torch.Generator().manual_seed(0)),
        torch.tensor([0, 1, 2, 0, 1, 2]),
    )
    loss = build_loss({**PLAIN, "label_smoothing": 0.3}, "none", [2, 2, 2])(logits, targets)
    smooth = 0.7 * torch.eye(3)[targets] + 0.3 / 3
    assert loss.item() == pytest.approx(-(smooth * logits.log_softmax(1)).sum(1).mean().item(), rel=1e-5)


def test_class_weights_change_the_loss():
    logits, targets = torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1])
    weighted = build_loss(PLAIN, "class_weights", [9, 1])(logits, targets)
    losses, weights = -logits.log_softmax(1)[[0, 1], [0, 1]], class_weights([9, 1])
    assert weighted.item() == pytest.approx(((losses * weights).sum() / weights.sum()).item(), rel=1e-5)


@pytest.mark.parametrize(
    ("config", "imbalance", "message"),
    [
        ({**PLAIN, "name": "cross_entrpy"}, "none", "Did you mean 'cross_entropy'"),
        ({**PLAIN, "label_smoothing": 1.0}, "none", r"label_smoothing: expected a number in \[0, 1\)"),
        (PLAIN, "class_weight", "Did you mean 'class_weights'"),
    ],
)
def test_bad_options(config, imbalance, message):
    with pytest.raises(FerError, match=message):
        build_loss(config, imbalance, [1, 1])
