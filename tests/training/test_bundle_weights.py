"""Weights of exported models, read back into a network: model.init_from=BUNDLE."""

import numpy as np
import pytest
import torch

import fer
from fer.bundle.registry import find_bundle
from fer.bundle.runtime import OnnxClassifier
from fer.core.errors import FerError
from fer.core.labels import FER7, FERPLUS8
from fer.data.datamodule import EmotionDataModule
from fer.models.config import ModelConfig
from fer.models.factory import build_model
from fer.training.transfer import load_initial_weights

NO_SPLITS = {"splits": {}}
SMALL = ("datamodule=synthetic", "datamodule.num_train=70", "datamodule.num_val=70",
        "datamodule.num_test=70", "trainer.max_epochs=1", "trainer.limit_train_batches=1")  # fmt: skip


@pytest.fixture(scope="module")
def faces():
    """Return synthetic faces, and the function that gives examples of them, as for a training."""
    data = EmotionDataModule("synthetic", 48, num_train=280, num_val=70, num_test=70)
    data.setup("fit")
    return data.augmented_examples(35, 1), data.augmented_examples


def settings(source, **more):
    kwargs = {"widths": [48, 96, 192, 384], "depths": [0, 1, 2, 0], "stem_pool": False, "margin": 0.083}
    return ModelConfig.of(
        {"name": "fast_cnn", "pool": "mean", "init_from": str(source), "kwargs": kwargs, **more}
    )


def probabilities(model, images, temperature):
    with torch.no_grad():
        return (model(torch.from_numpy(images).permute(0, 3, 1, 2)) / temperature).softmax(1).numpy()


def test_the_network_predicts_what_the_model_of_the_package_predicts(faces):
    images, examples = faces
    images = np.round(images * 255) / 255
    config, bundle = settings("fer2013_48px"), find_bundle("fer2013_48px")
    model = build_model(config, 7, 1)
    initial = load_initial_weights(model, config, FER7, NO_SPLITS, {}, examples)
    expected = OnnxClassifier(bundle)(
        np.broadcast_to((images * 255).astype(np.uint8), (*images.shape[:3], 3))
    )
    got = probabilities(model.eval(), images, bundle.card.temperature)
    # int8 rounds the activations of the file only.
    assert abs(got - expected).max() < 0.06
    assert abs(got - expected).mean() < 0.005
    # The statistics of batch norms are those of the images, so that training starts where the file ends.
    trained = probabilities(model.train(), images, bundle.card.temperature)
    assert (trained.argmax(1) == expected.argmax(1)).mean() > 0.8
    assert initial.record["data"] == ["fer2013"]
    assert initial.record["manifest"]["splits"]["val"]["split"] == "PublicTest"
    assert "fer2013_48px, an exported model (int8, fer7)" in initial.messages[0]


def test_the_head_is_new_for_other_emotions(faces):
    config = settings("fer2013_48px")
    model = build_model(config, 8, 1)
    before = model.head.weight.clone()
    initial = load_initial_weights(model, config, FERPLUS8, NO_SPLITS, {}, faces[1])
    assert torch.equal(model.head.weight, before)
    assert "head: newly initialised for ferplus8; the model is for fer7" in initial.messages[1]


def test_the_images_of_its_training_are_named(faces):
    config = settings("fer2013_48px")
    manifest = find_bundle("fer2013_48px").card.training["manifest"]
    swapped = {"splits": {"train": manifest["splits"]["val"], "val": manifest["splits"]["train"]}}
    initial = load_initial_weights(build_model(config, 7, 1), config, FER7, swapped, {}, faces[1])
    assert any("was trained on the images of this run's val split" in line for line in initial.messages)


def test_another_architecture_is_refused_with_the_command_of_its_training(faces):
    config = settings("fer2013_48px", kwargs={"widths": [24, 48, 96, 192]})
    with pytest.raises(
        FerError, match=r"fer2013_48px: expected weights of this network.*fer-train experiment="
    ):
        load_initial_weights(build_model(config, 7, 1), config, FER7, NO_SPLITS, {}, faces[1])


def test_an_unknown_name_lists_the_models(faces):
    config = settings("fer2014")
    with pytest.raises(
        FerError, match=r"model\.init_from=fer2014: expected a run folder.*Did you mean 'fer2013'"
    ):
        load_initial_weights(build_model(config, 7, 1), config, FER7, NO_SPLITS, {}, faces[1])


@pytest.mark.slow
def test_a_run_continues_from_an_export_of_another_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parts = ("model=timm", "model.name=test_resnet", "attention=spatial", *SMALL)
    first = fer.train(*parts, f"hydra.run.dir={tmp_path}/one")
    source = f"model.init_from={fer.export(first).folder}"
    second = fer.train(*parts, source, "optimizer.lr=1e-12", f"hydra.run.dir={tmp_path}/two")
    one, two = (fer.load_checkpoint(run.folder).model.eval() for run in (first, second))
    images = torch.rand(8, 1, 48, 48)
    with torch.no_grad():
        assert torch.allclose(one(images).softmax(1), two(images).softmax(1), atol=0.1)
