"""Distillation: the loss, the teachers' answers, and runs that learn from teachers."""

import json

import numpy as np
import pytest
import torch
from tiny import TINY_FACES
from tiny_bundle import write_bundle
from torch.nn import functional as F  # noqa: N812 - the usual alias

from fer.core.errors import FerError
from fer.core.labels import FER7, FERPLUS8
from fer.data.config import DataConfig
from fer.data.datamodule import read_data
from fer.data.folds import assign_folds
from fer.data.splits import indices
from fer.models.checkpoint import load_checkpoint
from fer.models.inference import infer
from fer.training import teachers
from fer.training.distill import Distilled, distillation_loss, soften
from fer.training.losses import CrossEntropy
from fer.training.recipe import DistillConfig
from fer.training.teachers import teach


@pytest.fixture
def cache_dir(tmp_path, monkeypatch):
    """A cache folder of this test alone."""
    monkeypatch.setenv("FER_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def logits():
    return torch.randn(8, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def teacher():
    return torch.randn(8, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64).softmax(1)


def test_the_loss_is_the_divergence_of_softened_distributions(logits, teacher):
    q, p = (teacher.log() / 3).softmax(1), (logits / 3).softmax(1)
    expected = 9 * (q * (q / p).log()).sum(1).mean()
    assert distillation_loss(logits, soften(teacher, 3.0), 3.0) == pytest.approx(float(expected))
    same = distillation_loss(teacher.log(), soften(teacher, 3.0), 3.0)
    assert float(same) == pytest.approx(0, abs=1e-12)


def test_a_high_temperature_matches_logits(logits, teacher):
    """Hinton et al. 2015, equation 4: the gradient is the difference of centred logits, divided by K."""
    logits.requires_grad_()
    distillation_loss(logits, soften(teacher, 1e4), 1e4).backward()
    centred = [one - one.mean(1, keepdim=True) for one in (logits.detach(), teacher.log())]
    torch.testing.assert_close(logits.grad, (centred[0] - centred[1]) / 7 / 8, rtol=1e-2, atol=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_losses_of_labels_and_teachers_are_weighted(weight, logits, teacher):
    loss = Distilled(CrossEntropy(), DistillConfig(teachers=["x"], weight=weight, temperature=2.0))
    label = torch.arange(8) % 7
    hard, soft = F.cross_entropy(logits, label), distillation_loss(logits, soften(teacher, 2.0), 2.0)
    both = loss(logits, loss.join(label, teacher))
    assert float(both) == pytest.approx(float((1 - weight) * hard + weight * soft))
    # Without teachers, as in a batch of one's own loader.
    assert float(loss(logits, label)) == pytest.approx(float(hard))


@pytest.fixture
def faces():
    sizes = {"num_train": 70, "num_val": 35, "num_test": 7}
    data = read_data(DataConfig.create({"name": "synthetic", **sizes}, 48))
    return data.dataset.take(indices(data.dataset, "train")), data.manifest


@pytest.fixture
def teacher_run(tiny_run):
    return tiny_run("model=fast_cnn_inner", *TINY_FACES)


def test_answers_are_the_mean_over_both_sides(teacher_run, faces):
    data, manifest = faces
    lesson = teach([str(teacher_run.folder)], data, manifest)
    trained = load_checkpoint(teacher_run.folder)
    expected = infer(trained.model, data, 48, 64, tta="flip").tta_probs
    np.testing.assert_allclose(lesson.probs, expected, atol=1e-6)
    assert lesson.records[0]["manifest"] == trained.manifest
    assert "trained on synthetic" in lesson.messages[0]


def test_answers_are_stored_and_read_again(cache_dir, teacher_run, faces, monkeypatch, capsys):
    data, manifest = faces
    first = teach([str(teacher_run.folder)], data, manifest)
    assert "answers 70 images" in capsys.readouterr().out
    monkeypatch.setattr(teachers, "infer", lambda *_, **__: pytest.fail("computed again"))
    second = teach([str(teacher_run.folder)], data, manifest)
    np.testing.assert_array_equal(first.probs, second.probs)
    # Of other images, nothing stored is used.
    other = {"splits": {"train": {**manifest["splits"]["train"], "pixels_sha256": "0" * 64}}}
    with pytest.raises(pytest.fail.Exception, match="computed again"):
        teach([str(teacher_run.folder)], data, other)


def test_a_damaged_file_is_computed_again(cache_dir, teacher_run, faces):
    data, manifest = faces
    first = teach([str(teacher_run.folder)], data, manifest)
    (stored,) = cache_dir.glob("teacher-*.npy")
    stored.write_bytes(stored.read_bytes()[:100])
    np.testing.assert_array_equal(teach([str(teacher_run.folder)], data, manifest).probs, first.probs)


def test_several_teachers_are_averaged(tmp_path, faces):
    data, manifest = faces
    bundles = [str(write_bundle(tmp_path / name, seed=seed).folder) for seed, name in enumerate("ab")]
    single = [teach([bundle], data, manifest).probs for bundle in bundles]
    both = teach(bundles, data, manifest)
    np.testing.assert_allclose(both.probs, np.mean(single, 0), atol=1e-6)
    assert len(both.records) == 2


def test_a_teacher_of_more_emotions_is_restricted_and_merged_ones_are_summed(tmp_path, faces):
    data, manifest = faces
    bundle = str(write_bundle(tmp_path / "eight", labels=FERPLUS8).folder)
    lesson = teach([bundle], data, manifest)
    assert lesson.probs.shape == (70, 7)
    np.testing.assert_allclose(lesson.probs.sum(1), 1, atol=1e-6)


def test_a_teacher_that_lacks_an_emotion_is_refused(tmp_path, tiny_run, capsys):
    bundle = write_bundle(tmp_path / "seven", labels=FER7).folder
    emotions = "datamodule.emotions=[happy,sad]"
    run = tiny_run("model=fast_cnn_inner", *TINY_FACES, emotions)
    assert run.status == 0
    result = tiny_run("model=fast_cnn_inner", *TINY_FACES, f"distill={run.folder}")
    assert result.status == 2
    assert "It lacks angry" in capsys.readouterr().err
    merged = "datamodule.merge={negative: [angry, disgust, fear, sad]}"
    assert tiny_run("model=fast_cnn_inner", *TINY_FACES, merged, f"distill={bundle}").status == 0


@pytest.mark.parametrize("mix", ["none", "mixup", "cutmix"])
def test_a_run_learns_from_a_teacher_and_names_it(mix, teacher_run, tiny_run):
    run = tiny_run("model=fast_cnn_inner", *TINY_FACES, f"mix={mix}", f"distill={teacher_run.folder}")
    assert run.status == 0
    (record,) = run.record["teachers"]
    assert record["path"] == str(teacher_run.folder)
    trained = load_checkpoint(run.folder)
    assert trained.teachers[0]["sha256"] == record["sha256"]
    assert trained.config["distill"] == {
        "teachers": [str(teacher_run.folder)], "weight": 0.5, "temperature": 2.0,
    }  # fmt: skip


def test_without_weight_the_run_is_that_of_labels_alone(teacher_run, tiny_run):
    options = ("model=fast_cnn_inner", *TINY_FACES, "mix=mixup")
    alone = tiny_run(*options)
    weightless = tiny_run(*options, f"distill={teacher_run.folder}", "distill.weight=0")
    taught = tiny_run(*options, f"distill={teacher_run.folder}", "distill.weight=1")
    losses = [run.record["best"]["val/loss"] for run in (alone, weightless, taught)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0] != pytest.approx(losses[2], rel=1e-5)


def test_a_config_without_teachers_has_no_key(teacher_run):
    assert "distill" not in load_checkpoint(teacher_run.folder).config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["distill=/nowhere"], "/nowhere: expected a run folder, a checkpoint or a bundle"),
        (["distill.weight=0.7"], "distill.weight: expected a teacher as well, got none"),
        (["distill=fer2013", "distill.weight=2"], "distill.weight: expected"),
        (["distill=fer2013", "distill.temperature=0"], "distill.temperature: expected"),
    ],
)
def test_user_errors_are_one_line(options, message, tiny_run, capsys):
    assert tiny_run("model=fast_cnn_inner", *TINY_FACES, *options).status == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_a_resumed_run_needs_the_same_teacher(teacher_run, tiny_run):
    options = ("model=fast_cnn_inner", *TINY_FACES, "trainer.max_epochs=2")
    run = tiny_run(*options, f"distill={teacher_run.folder}")
    best = teacher_run.folder / "checkpoints" / "best.ckpt"
    content = torch.load(best, weights_only=True)
    next(iter(content["state_dict"].values())).add_(1)
    torch.save(content, best)
    with pytest.raises(FerError, match="expected the model that the run started with"):
        teachers._check_same(load_checkpoint(run.folder).teachers, [teachers._load(str(best)).record])


@pytest.mark.usefixtures("exported_once", "no_plots")
def test_teachers_are_on_the_card_and_in_the_report(teacher_run, tiny_run, fer_evaluate, fer_export):
    run = tiny_run("model=fast_cnn_inner", *TINY_FACES, f"distill={teacher_run.folder}")
    assert fer_export(run.folder)[0] in (0, None)
    card = json.loads((run.folder / "bundle" / "card.json").read_text())
    name = teacher_run.folder.name
    assert [one["path"] for one in card["training"]["teachers"]] == [name]
    assert str(teacher_run.folder.parent) not in json.dumps(card)
    assert (
        f"learned from a teacher: {name}, trained on synthetic"
        in (run.folder / "bundle" / "README.md").read_text()
    )
    fer_evaluate(run.folder, "--split", "val")
    report = (run.folder / "report" / "val" / "report.md").read_text()
    assert f"as well as from labels: {teacher_run.folder}, trained on synthetic." in report.replace("\\", "")


def test_answers_of_folds_are_out_of_fold(tiny_run, faces, tmp_path):
    data, manifest = faces
    sizes = ("datamodule.num_train=70", "datamodule.num_val=35", "datamodule.num_test=7")
    options = ("model=fast_cnn_inner", *sizes, "datamodule.batch_size=8")
    runs = [tiny_run(*options, f"datamodule.fold={number}/2").folder for number in range(2)]
    lesson = teach([str(run) for run in runs], data, manifest)
    folds = assign_folds(data, np.arange(70), 2)
    for number, run in enumerate(runs):
        trained, rows = load_checkpoint(run), np.flatnonzero(folds == number)
        expected = infer(trained.model, data.take(rows), 48, 64, tta="flip").tta_probs
        np.testing.assert_allclose(lesson.probs[rows], expected, atol=1e-6)
    # The folder of both runs is the same, one of them alone does not answer all images.
    np.testing.assert_array_equal(teach([str(runs[0].parent)], data, manifest).probs, lesson.probs)
    with pytest.raises(FerError, match="expected runs of all folds, got none for"):
        teach([str(runs[0])], data, manifest)
