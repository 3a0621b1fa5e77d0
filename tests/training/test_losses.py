import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

from fer.core.errors import FerError
from fer.data.synthetic import read_synthetic
from fer.models.factory import build_model
from fer.training.loss_factory import build_loss, class_weights

OPTIONS = {
    "cross_entropy": {"label_smoothing": 0.0},
    "expected_labels": {"vote_share": 0.5, "label_smoothing": 0.0},
    "focal": {"gamma": 2.0, "label_smoothing": 0.0},
    "soft_targets": {"label_smoothing": 0.0},
    "balanced_softmax": {"label_smoothing": 0.0},
    "logit_adjustment": {"tau": 1.5, "label_smoothing": 0.0},
    "generalised_cross_entropy": {"q": 0.7, "label_smoothing": 0.0},
    "symmetric_cross_entropy": {"alpha": 0.1, "beta": 1.0, "log_zero": -4.0, "label_smoothing": 0.0},
}
WEIGHTED = sorted(OPTIONS.keys() - {"balanced_softmax", "logit_adjustment"})
COUNTS = [40, 10, 2, 100]
TARGET = torch.tensor([0, 1, 2, 3, 3, 0])


def make(name, imbalance="none", counts=COUNTS, **options):
    config = {"name": name, **OPTIONS.get(name, {}), **options}
    return build_loss(config, imbalance, counts)


def some_logits(rows=6, classes=4):
    return 3 * torch.randn(rows, classes, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def some_votes(rows=6, classes=4):
    return some_logits(rows, classes).roll(1).softmax(1)


def softmax_in_numpy(logits):
    exponentials = np.exp(logits.numpy())
    return exponentials / exponentials.sum(1, keepdims=True)


def test_class_weights_equal_scikit_learn_balanced():
    targets = np.repeat(np.arange(4), [5, 1, 20, 3])
    expected = compute_class_weight("balanced", classes=np.arange(4), y=targets)
    np.testing.assert_allclose(class_weights([5, 1, 20, 3]), expected, rtol=1e-6)


@pytest.mark.parametrize("beta", [None, 0.9])
def test_a_class_without_samples_has_weight_zero(beta):
    weights = class_weights([10, 0, 30], beta)
    assert weights[1] == 0
    assert (weights * torch.tensor([10, 0, 30])).sum() == pytest.approx(40)


def test_effective_number_is_between_equal_weights_and_inverse_frequency():
    # The geometric series that the formula sums in closed form.
    geometric = [sum(0.9**i for i in range(n)) for n in COUNTS]
    weights = class_weights(COUNTS, 0.9)
    np.testing.assert_allclose(weights / weights[0], geometric[0] / np.array(geometric), rtol=1e-6)
    np.testing.assert_allclose(class_weights(COUNTS, 0.0), np.ones(4), rtol=1e-6)
    np.testing.assert_allclose(class_weights(COUNTS, 1 - 1e-9), class_weights(COUNTS), rtol=1e-5)


@pytest.mark.parametrize("imbalance", ["none", "class_weights", "effective_number"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_cross_entropy_equals_torch(imbalance, smoothing):
    logits = some_logits().float()
    loss = make("cross_entropy", imbalance, label_smoothing=smoothing)
    expected = functional.cross_entropy(logits, TARGET, loss.weight, label_smoothing=smoothing)
    torch.testing.assert_close(loss(logits, TARGET), expected)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_with_two_classes_equals_torchvision(gamma):
    score, target = some_logits(8, 1)[:, 0], torch.arange(8) % 2
    logits = torch.stack([torch.zeros_like(score), score], 1)
    expected = sigmoid_focal_loss(score, target.double(), alpha=-1, gamma=gamma, reduction="mean")
    torch.testing.assert_close(make("focal", gamma=gamma)(logits, target), expected)


def test_focal_class_weights_equal_alpha_in_torchvision():
    score, target = some_logits(8, 1)[:, 0], torch.arange(8) % 2
    logits = torch.stack([torch.zeros_like(score), score], 1)
    loss = make("focal", "class_weights", counts=[75, 25])
    alpha = (loss.weight[1] / loss.weight.sum()).item()
    expected = sigmoid_focal_loss(score, target.double(), alpha=alpha, gamma=2.0, reduction="sum")
    weights = torch.where(target == 1, alpha, 1 - alpha).double()
    torch.testing.assert_close(loss(logits, target), expected / weights.sum())


def test_focal_has_a_finite_gradient_at_probability_one():
    logits = torch.tensor([[200.0, 0.0]], requires_grad=True)
    make("focal", gamma=0.5, counts=[1, 1])(logits, torch.tensor([0])).backward()
    assert logits.grad.isfinite().all()


def test_balanced_softmax_against_its_formula():
    logits = some_logits()
    scores = np.array(COUNTS) * np.exp(logits.numpy())  # n_k exp(z_k), equation 3 of the paper
    probs = scores / scores.sum(1, keepdims=True)
    expected = -np.log(probs[np.arange(6), TARGET]).mean()
    assert make("balanced_softmax")(logits, TARGET).item() == pytest.approx(expected, rel=1e-5)
    assert make("logit_adjustment", tau=1.0)(logits, TARGET).item() == pytest.approx(expected, rel=1e-5)


def test_logit_adjustment_against_its_formula():
    logits, priors = some_logits(), np.array(COUNTS) / sum(COUNTS)
    margins = np.exp(logits.numpy() + 1.5 * np.log(priors))
    expected = -np.log((margins / margins.sum(1, keepdims=True))[np.arange(6), TARGET]).mean()
    assert make("logit_adjustment")(logits, TARGET).item() == pytest.approx(expected, rel=1e-5)
    plain = functional.cross_entropy(logits, TARGET)
    torch.testing.assert_close(make("logit_adjustment", tau=0.0)(logits, TARGET), plain)


@pytest.mark.parametrize("name", ["balanced_softmax", "logit_adjustment"])
def test_adjusted_losses_are_finite_for_a_class_without_samples(name):
    loss = make(name, counts=[40, 0, 2, 100], label_smoothing=0.1)
    assert loss(some_logits(), TARGET).isfinite()


@pytest.mark.parametrize("q", [0.3, 0.7, 1.0])
def test_generalised_cross_entropy_against_its_formula(q):
    probs = softmax_in_numpy(some_logits())[np.arange(6), TARGET]
    expected = ((1 - probs**q) / q).mean()
    assert make("generalised_cross_entropy", q=q)(some_logits(), TARGET).item() == pytest.approx(expected)


def test_generalised_cross_entropy_approaches_cross_entropy():
    loss = make("generalised_cross_entropy", q=1e-6)(some_logits(), TARGET)
    torch.testing.assert_close(loss, functional.cross_entropy(some_logits(), TARGET), rtol=1e-4, atol=0)


def test_symmetric_cross_entropy_against_its_formula():
    probs, labels = softmax_in_numpy(some_logits()), np.eye(4)[TARGET]
    forward = -(labels * np.log(probs)).sum(1)
    reverse = -(probs * np.where(labels == 1, 0.0, -4.0)).sum(1)
    expected = (0.1 * forward + reverse).mean()
    assert make("symmetric_cross_entropy")(some_logits(), TARGET).item() == pytest.approx(expected)


def test_soft_targets_equal_torch_kl_div():
    votes = some_votes()
    expected = functional.kl_div(some_logits().log_softmax(1), votes, reduction="batchmean")
    loss = make("soft_targets")
    assert loss.needs_votes
    torch.testing.assert_close(loss(some_logits(), votes), expected)
    assert loss(votes.log(), votes).item() == pytest.approx(0.0, abs=1e-12)


def test_soft_targets_are_weighted_by_the_voted_classes():
    loss, votes, logits = make("soft_targets", "class_weights"), some_votes(), some_logits()
    each = torch.stack([make("soft_targets")(logits[i : i + 1], votes[i : i + 1]) for i in range(6)])
    weights = (votes * loss.weight).sum(1)
    torch.testing.assert_close(loss(logits, votes), (weights * each).sum() / weights.sum())


def test_a_sample_without_votes_has_weight_zero_also_when_mixed():
    loss, votes, logits = make("soft_targets"), some_votes(), some_logits().requires_grad_()
    no_votes = torch.zeros_like(votes)
    assert loss(logits, no_votes).item() == 0.0
    torch.testing.assert_close(loss(logits, 0.3 * votes), loss(logits, votes))
    half = torch.cat([votes[:3], 0.5 * votes[3:]])
    each = torch.stack([loss(logits[i : i + 1], votes[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(loss(logits, half), (each[:3].sum() + each[3:].sum() / 2) / 4.5)
    loss(logits, no_votes).backward()
    assert logits.grad.abs().sum() == 0


def test_expected_labels_replace_a_fraction_of_each_label():
    table = [[0.5, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0.25, 0, 0, 0.75]]
    votes = torch.tensor([[1.0, 0, 0, 0], [0.4, 0, 0, 0.6], [0, 0, 0, 0]])
    loss = build_loss(
        {"name": "expected_labels", "vote_share": 0.4}, {"name": "none"}, COUNTS, label_given_vote=table
    )
    target = loss.build_target(torch.tensor([0, 1, 2]), votes)
    # The last image has no votes.
    expected_target = [[0.8, 0.2, 0, 0], [0.14, 0.68, 0, 0.18], [0, 0, 1, 0]]
    torch.testing.assert_close(target, torch.tensor(expected_target))
    smoothed = build_loss(
        {"name": "expected_labels", "vote_share": 0.4, "label_smoothing": 0.1}, {"name": "none"}, COUNTS
    )
    logits = some_logits(3)
    expected = functional.cross_entropy(logits, target.double(), label_smoothing=0.1)
    torch.testing.assert_close(smoothed(logits, target.double()), expected)


def test_without_a_matrix_a_vote_is_the_label_of_the_same_name():
    loss = make("expected_labels", vote_share=1.0)
    torch.testing.assert_close(loss.build_target(TARGET, some_votes()), some_votes())


@pytest.mark.parametrize("imbalance", ["none", "class_weights"])
@pytest.mark.parametrize("name", WEIGHTED)
def test_a_one_hot_distribution_equals_a_label(name, imbalance):
    loss, one_hot = make(name, imbalance), functional.one_hot(TARGET).double()
    torch.testing.assert_close(loss(some_logits(), one_hot), loss(some_logits(), TARGET))


@pytest.mark.parametrize("name", sorted(OPTIONS.keys() - {"soft_targets"}))
def test_the_loss_of_mixed_labels_is_the_mixture_of_their_losses(name):
    loss, logits, other = make(name), some_logits(), TARGET.roll(1)
    mixed = 0.3 * functional.one_hot(TARGET, 4) + 0.7 * functional.one_hot(other, 4)
    torch.testing.assert_close(
        loss(logits, mixed.double()), 0.3 * loss(logits, TARGET) + 0.7 * loss(logits, other)
    )


@pytest.mark.parametrize("name", OPTIONS)
def test_label_smoothing_spreads_a_fraction_of_the_target(name):
    spread = 0.8 * some_votes() + 0.2 / 4
    smoothed = make(name, label_smoothing=0.2)(some_logits(), some_votes())
    torch.testing.assert_close(smoothed, make(name)(some_logits(), spread))


@pytest.mark.parametrize("name", WEIGHTED)
def test_weights_are_relative(name):
    plain, weighted = make(name), make(name, "class_weights")
    same = torch.full((6,), 2)
    torch.testing.assert_close(weighted(some_logits(), same), plain(some_logits(), same))
    assert weighted(some_logits(), TARGET) != pytest.approx(plain(some_logits(), TARGET).item())


@pytest.mark.parametrize("target", [TARGET, some_votes()], ids=["labels", "votes"])
@pytest.mark.parametrize("name", OPTIONS)
def test_gradients_against_finite_differences(name, target):
    logits = some_logits().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: make(name)(x, target), logits)


@pytest.mark.parametrize("name", OPTIONS)
def test_half_precision_logits_are_converted_to_float32(name):
    logits = some_logits().bfloat16()
    loss = make(name)(logits, TARGET)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, make(name)(logits.float(), TARGET))


@pytest.fixture(scope="module")
def faces():
    data = read_synthetic(num_train=21, num_val=0, num_test=0, num_workers=1)
    return torch.from_numpy(data.images).permute(0, 3, 1, 2) / 255, torch.from_numpy(data.targets)


@pytest.mark.parametrize("name", OPTIONS)
def test_overfits_a_batch_of_faces(name, faces):
    images, target = faces
    torch.manual_seed(0)
    model = build_model({"name": "fast_cnn", "kwargs": {"widths": [8, 16], "depths": [0, 0]}}, 7, 1)
    loss = make(name, counts=torch.bincount(target, minlength=7).tolist())
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(80):
        logits = model(images)
        optimizer.zero_grad()
        loss(logits, target).backward()
        optimizer.step()
        if (logits.argmax(1) == target).all():
            return
    pytest.fail("the batch was not overfitted")


@pytest.mark.parametrize(
    ("name", "imbalance", "options", "message"),
    [
        ("cross_entrpy", "none", {}, "Did you mean 'cross_entropy'"),
        (
            "cross_entropy",
            "none",
            {"label_smoothing": 1.0},
            r"label_smoothing: expected a number in \[0, 1\)",
        ),
        ("cross_entropy", "class_weight", {}, "Did you mean 'class_weights'"),
        ("focal", "none", {"gamma": -1.0}, "loss.gamma: expected a number of at least 0, got -1"),
        ("focal", "none", {"gamma": float("nan")}, "loss.gamma"),
        ("logit_adjustment", "none", {"tau": -0.1}, "loss.tau"),
        ("generalised_cross_entropy", "none", {"q": 0.0}, r"loss.q: expected a number in \(0, 1\], got 0.0"),
        ("generalised_cross_entropy", "none", {"gamma": 2.0}, "gamma"),
        ("symmetric_cross_entropy", "none", {"log_zero": 0.0}, "loss.log_zero: expected a number below 0"),
        ("balanced_softmax", "class_weights", {}, "already corrects for class imbalance. Use imbalance=none"),
        ("logit_adjustment", "oversample", {}, "already corrects for class imbalance. Use imbalance=none"),
    ],
)
def test_invalid_options(name, imbalance, options, message):
    with pytest.raises(FerError, match=message):
        make(name, imbalance, **options)


def test_invalid_beta():
    with pytest.raises(FerError, match=r"imbalance.beta: expected a number in \[0, 1\)"):
        build_loss("cross_entropy", {"name": "effective_number", "beta": 1.0}, COUNTS)
