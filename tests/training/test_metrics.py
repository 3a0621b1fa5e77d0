"""All metrics against scikit-learn, or against NumPy for those that scikit-learn lacks."""

import numpy as np
import pytest
import torch
from pytorch_lightning.callbacks import EarlyStopping
from sklearn import metrics as sk

from fer.analysis.metrics.classification import confusion_counts, overall_scores
from fer.core.errors import FerError
from fer.core.labels import FER7
from fer.training.config import RunConfig
from fer.training.metrics import OVERALL, build_metrics, check_monitor, current_names, scalar_metrics
from fer.training.recorder import RunRecorder
from fer.training.run_record import RunRecord

AVERAGES = {"macro_f1": (sk.f1_score, "macro"), "uar": (sk.recall_score, "macro")}


@pytest.fixture(scope="module")
def scored():
    """Logits, targets and the metrics computed in uneven batches."""
    rng = np.random.default_rng(0)
    targets = rng.choice(7, size=1000, p=[0.14, 0.02, 0.14, 0.25, 0.17, 0.11, 0.17])
    logits = rng.normal(size=(1000, 7)) + 1.5 * np.eye(7)[targets]
    metrics = build_metrics(7)
    for part in np.array_split(np.arange(1000), 7):
        metrics.update(torch.tensor(logits[part]), torch.tensor(targets[part]))
    return logits, targets, metrics.compute()


def test_accuracy(scored):
    logits, targets, values = scored
    assert values["accuracy"].item() == pytest.approx(sk.accuracy_score(targets, logits.argmax(1)))


@pytest.mark.parametrize("name", AVERAGES)
def test_averages_over_emotions(scored, name):
    logits, targets, values = scored
    score, average = AVERAGES[name]
    assert scalar_metrics(values, FER7.names, "val")[f"val/{name}"].item() == pytest.approx(
        score(targets, logits.argmax(1), average=average)
    )


def test_uar_is_balanced_accuracy(scored):
    logits, targets, values = scored
    assert scalar_metrics(values, FER7.names, "val")["val/uar"].item() == pytest.approx(
        sk.balanced_accuracy_score(targets, logits.argmax(1))
    )


def test_per_emotion_metrics(scored):
    logits, targets, values = scored
    precision, recall, f1, _ = sk.precision_recall_fscore_support(targets, logits.argmax(1))
    for name, expected in {"precision": precision, "recall": recall, "f1": f1}.items():
        np.testing.assert_allclose(values[name].numpy(), expected, rtol=1e-5)


def test_confusion_has_true_emotions_in_rows(scored):
    logits, targets, values = scored
    np.testing.assert_array_equal(values["confusion"], sk.confusion_matrix(targets, logits.argmax(1)))


def test_ece_against_numpy(scored):
    logits, targets, values = scored
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    confidence, correct = probs.max(1), probs.argmax(1) == targets
    bins = np.minimum((confidence * 15).astype(int), 14)
    gaps = [
        abs(correct[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).mean() for b in set(bins)
    ]
    assert values["ece"].item() == pytest.approx(sum(gaps), abs=1e-5)


@pytest.mark.parametrize("preds", [[0, 1, 0, 1], [0, 1, 0, 2]], ids=["never predicted", "predicted"])
def test_an_emotion_without_images_has_no_metrics(preds):
    """Training and reports use the same definition for each name."""
    targets = torch.tensor([0, 1, 1, 1])
    metrics = build_metrics(3)
    metrics.update(torch.eye(3)[preds], targets)
    named = scalar_metrics(metrics.compute(), ("a", "b", "c"), "val")
    expected = overall_scores(confusion_counts(targets.numpy(), np.array(preds), 3))
    for name in ("accuracy", "uar", "macro_f1"):
        assert named[f"val/{name}"].item() == pytest.approx(float(expected[name]))
    assert "val_emotion/recall/b" in named
    assert not [name for name in named if name.endswith("/c")]


def test_names_of_logged_metrics(scored):
    named = scalar_metrics(scored[2], FER7.names, "val")
    assert {name for name in named if name.startswith("val/")} == set(OVERALL) - {"val/loss"}
    assert named["val_emotion/f1/happy"] == scored[2]["f1"][3]
    assert named["val/worst_f1"] == scored[2]["f1"].min()
    assert len(named) == 5 + 3 * 7


def test_names_of_older_versions():
    """Per-emotion metrics were ``val/f1/happy``; an emotion may have slashes in its name."""
    before = {"val/f1/a/b": 1.0, "val/recall/sad": 0.5, "val/accuracy": 0.7, "train/loss": 2.0}
    after = {"val_emotion/f1/a/b": 1.0, "val_emotion/recall/sad": 0.5, "val/accuracy": 0.7, "train/loss": 2.0}
    assert current_names(before) == current_names(after) == after
    check_monitor("val/f1/happy")
    check_monitor("val_emotion/f1/happy")
    assert RunConfig(model={"name": "fast_cnn"}, monitor="val/f1/happy").monitor == "val_emotion/f1/happy"
    assert RunRecord(best=before).best == after
    with pytest.raises(FerError, match=r"val_emotion/f1/EMOTION, got 'val_emotion/auc/sad'"):
        check_monitor("val_emotion/auc/sad")


def test_a_run_of_an_older_version_is_resumed_with_the_monitor_of_that_version(tmp_path):
    """The monitor is part of the keys of the states of ModelCheckpoint and EarlyStopping."""
    old = "EarlyStopping{'monitor': 'val/f1/happy', 'mode': 'max'}"
    checkpoint = {"callbacks": {old: {"wait_count": 2}, "SeedEpoch": {}}}
    recorder = RunRecorder(tmp_path / "metrics.csv", "val_emotion/f1/happy")
    recorder.on_load_checkpoint(None, None, checkpoint)
    stopping = EarlyStopping("val_emotion/f1/happy", mode="max")
    assert checkpoint["callbacks"] == {stopping.state_key: {"wait_count": 2}, "SeedEpoch": {}}
    row = {"epoch": 1, "val/f1/happy": 0.5, "perf/fit_seconds": 1.0}
    recorder.load_state_dict({"rows": [row], "best": row, "best_confusion": None})
    assert recorder.best["val_emotion/f1/happy"] == recorder.rows[0]["val_emotion/f1/happy"] == 0.5
