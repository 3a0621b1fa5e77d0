import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn import metrics

from fer.analysis.predictions import Predictions
from fer.analysis.scores import score, section
from fer.errors import FerError
from fer.labels import FER7

NAMES = FER7.names


def faces(n=400, num_classes=7, seed=0, sharp=1.5):
    """Targets, of which class 1 is rare, and probabilities that lean towards them."""
    rng = np.random.default_rng(seed)
    share = np.ones(num_classes)
    share[1] = 0.15
    target = rng.choice(num_classes, n, p=share / share.sum())
    logits = rng.normal(size=(n, num_classes)) + sharp * np.eye(num_classes)[target]
    return target, softmax(logits, 1)


def test_scores_are_sklearns():
    target, probs = faces()
    preds, found = probs.argmax(1), score(*faces(), NAMES, resamples=50)
    expected = {
        "accuracy": metrics.accuracy_score(target, preds),
        "uar": metrics.balanced_accuracy_score(target, preds),
        "macro_f1": metrics.f1_score(target, preds, average="macro"),
        "weighted_f1": metrics.f1_score(target, preds, average="weighted"),
        "kappa": metrics.cohen_kappa_score(target, preds),
        "top2": metrics.top_k_accuracy_score(target, probs, k=2),
        "log_loss": metrics.log_loss(target, probs),
        "brier": ((probs - np.eye(7)[target]) ** 2).sum(1).mean(),
        "auroc": metrics.roc_auc_score(target, probs, multi_class="ovr", average="macro"),
    }
    for k, name in enumerate(NAMES):
        expected[f"precision/{name}"] = metrics.precision_score(target, preds, average=None)[k]
        expected[f"recall/{name}"] = metrics.recall_score(target, preds, average=None)[k]
        expected[f"f1/{name}"] = metrics.f1_score(target, preds, average=None)[k]
        expected[f"auroc/{name}"] = metrics.roc_auc_score(target == k, probs[:, k])
    assert {name: found[name].value for name in expected} == pytest.approx(expected)
    assert set(found) == {*expected, "ece_mass", "ece_width"}


def test_n_is_what_a_figure_rests_on():
    target, probs = faces()
    found = score(target, probs, NAMES, resamples=10)
    assert found["accuracy"].n == 400
    assert found["recall/disgust"].n == (target == 1).sum()
    assert found["precision/disgust"].n == (probs.argmax(1) == 1).sum()


@pytest.mark.parametrize("metric", ["log_loss", "brier", "accuracy", "macro_f1", "top2", "recall/disgust"])
def test_intervals_are_those_of_a_plain_row_bootstrap(metric):
    target, probs = faces()
    figure = score(target, probs, NAMES, resamples=2000)[metric]
    rng = np.random.default_rng(5)
    draws = []
    for _ in range(1000):
        rows = np.concatenate(
            [rng.choice(np.flatnonzero(target == k), (target == k).sum()) for k in range(7)]
        )
        draws.append(plain(metric, target[rows], probs[rows]))
    low, high = np.quantile(draws, [0.025, 0.975])
    assert [figure.low, figure.high] == pytest.approx([low, high], abs=0.12 * (high - low))


def plain(metric, target, probs):
    preds = probs.argmax(1)
    if metric == "log_loss":
        return -np.log(probs[np.arange(len(target)), target]).mean()
    if metric == "brier":
        return ((probs - np.eye(7)[target]) ** 2).sum(1).mean()
    if metric == "top2":
        return (np.argsort(-probs, 1)[:, :2] == target[:, None]).any(1).mean()
    if metric == "recall/disgust":
        return (preds[target == 1] == 1).mean()
    if metric == "accuracy":
        return (preds == target).mean()
    hits = np.bincount(target[preds == target], minlength=7)
    return (2 * hits / (np.bincount(target, minlength=7) + np.bincount(preds, minlength=7))).mean()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(12, 80), st.floats(0, 4))
def test_intervals_stay_in_range_and_those_of_shares_hold_the_value(seed, n, sharp):
    for name, figure in score(*faces(n, 4, seed, sharp), ["a", "b", "c", "d"], resamples=200).items():
        if figure.value is None or figure.low is None:
            assert figure.note, name
            continue
        if name.startswith(("accuracy", "top2", "recall", "ece", "auroc")):
            assert figure.low <= figure.value <= figure.high, (name, figure)
        assert figure.low >= (-1 if name == "kappa" else 0)
        assert figure.high <= (np.inf if name == "log_loss" else 2 if name == "brier" else 1)


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(4)), st.integers(0, 10**6))
def test_renaming_emotions_renames_their_scores(order, seed):
    target, probs = faces(60, 4, seed)
    names = np.array(["a", "b", "c", "d"])
    one = score(target, probs, list(names), resamples=20)
    other = score(np.argsort(order)[target], probs[:, order], list(names[order]), resamples=20)
    assert set(one) == set(other)
    for name, figure in one.items():
        assert figure.n == other[name].n
        assert figure.value == pytest.approx(other[name].value), name


def test_an_emotion_without_images_says_so_and_is_no_zero():
    target, probs = faces()
    target[target == 1] = 0
    found = score(target, probs, NAMES, resamples=50)
    for metric in ("precision", "recall", "f1", "auroc"):
        figure = found[f"{metric}/disgust"]
        assert (figure.value, figure.low, figure.note) == (None, None, "no image of disgust")
    present = [k for k in range(7) if k != 1]
    expected = metrics.f1_score(target, probs.argmax(1), labels=present, average="macro")
    assert found["macro_f1"].value == pytest.approx(expected)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sklearn's, that disgust is predicted and never true
        assert found["uar"].value == pytest.approx(metrics.balanced_accuracy_score(target, probs.argmax(1)))
    assert found["auroc"].note == found["macro_f1"].note == "mean of 6 emotions: no image of disgust"


def test_an_emotion_never_predicted_has_no_precision_and_an_f1_of_zero():
    target, probs = np.array([0, 0, 1]), np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]])
    found = score(target, probs, ["sad", "happy"], resamples=50)
    assert found["precision/happy"].value is None
    assert "never predicted" in found["precision/happy"].note
    assert found["f1/happy"].value == 0.0
    assert found["f1/happy"].low is None


def test_means_over_emotions_of_a_few_images_have_no_interval():
    target = np.array([0] * 40 + [1] * 40 + [2] * 4)
    probs = np.random.default_rng(0).dirichlet(np.ones(3), 84)
    found = score(target, probs, ("angry", "happy", "sad"), 200)
    for name in ("uar", "macro_f1"):
        assert (found[name].low, found[name].high) == (None, None)
        assert found[name].note == "no interval: too few images (4 of sad)"
    assert found["accuracy"].low is not None
    enough = score(np.append(target, 2), np.vstack([probs, probs[:1]]), ("angry", "happy", "sad"), 200)
    assert enough["uar"].low is not None


def test_few_images_all_right_are_no_certainty():
    found = score(np.array([0, 0, 0, 1]), np.eye(2)[[0, 0, 0, 1]], ["sad", "happy"], resamples=50)
    recall = found["recall/sad"]
    assert recall.value == recall.high == 1.0
    assert recall.low == pytest.approx(0.4385, abs=1e-4)  # 3 of 3, Wilson: n / (n + z²)
    assert found["uar"].low is None
    assert found["auroc"].low is None
    assert found["auroc"].value == 1.0


def test_one_emotion_alone_has_neither_kappa_nor_auroc():
    found = score(np.zeros(5, int), np.tile([0.9, 0.1], (5, 1)), ["sad", "happy"], resamples=10)
    assert found["kappa"].value is None
    assert found["auroc"].value is None
    assert "one emotion" in found["kappa"].note
    assert "one emotion" in found["auroc"].note


def test_the_seed_decides_the_intervals():
    one, same, other = (score(*faces(), NAMES, resamples=100, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one["accuracy"].low != other["accuracy"].low


@pytest.mark.parametrize(
    ("target", "probs", "words"),
    [
        (np.array([], int), np.zeros((0, 7)), "0 targets"),
        (np.zeros(3, int), np.full((3, 6), 1 / 6), "7 probabilities"),
        (np.array([0, -1]), np.full((2, 7), 1 / 7), "-1 to 0"),
        (np.array([0, 7]), np.full((2, 7), 1 / 7), "0 to 7"),
        (np.array([0]), np.ones((1, 7)), "sum to 1"),
        (np.array([0]), np.full((1, 7), np.nan), "sum to 1"),
    ],
)
def test_what_cannot_be_scored_is_refused(target, probs, words):
    with pytest.raises(FerError, match=words):
        score(target, probs, NAMES)


def test_the_section_shows_what_was_measured():
    target, probs = faces()
    target[target == 1] = 0
    figures = score(target, probs, NAMES, resamples=50)
    n = len(target)
    predictions = Predictions(FER7, np.arange(n), target, np.log(probs), probs, None, np.full(n, "x"))
    found = section(predictions, figures)
    overall, by_emotion = found.tables
    assert overall.rows[0][:2] == ("Accuracy", f"{100 * figures['accuracy'].value:.1f} %")
    assert all(len(row) == len(table.columns) for table in found.tables for row in table.rows)
    assert by_emotion.rows[1] == ("disgust", 0, None, None, None, None)
    assert "no image of disgust" in found.words[1]
    assert found.numbers["accuracy"] is figures["accuracy"]
    assert found.pictures[0].png.startswith(b"\x89PNG")
