"""Initial weights: what is loaded, what is newly initialised, what is an error."""

import pytest
import safetensors.torch
import timm
import torch

from fer.core import labels
from fer.core.errors import FerError
from fer.core.labels import FER7, FERPLUS8, RAFDB7
from fer.models.checkpoint import load_checkpoint
from fer.models.config import ModelConfig
from fer.models.factory import build_model
from fer.training.transfer import load_initial_weights

NO_SPLITS = {"splits": {}}
# As in conf/model/fast_cnn.yaml.
FAST_CNN = {"widths": [24, 48, 96, 192], "depths": [0, 0, 0, 0]}


def settings(name="test_resnet", **more):
    return {"name": name, "image_size": 48, "in_channels": None, "pretrained": False, "init_from": None,
            "freeze_epochs": 0, "stem": "auto", "dropout": 0.0, "kwargs": {}, **more}  # fmt: skip


def config(**more):
    return ModelConfig.from_dict(settings(**more))


def build(attention="none", channels=1, classes=7, **more):
    return build_model({**settings(**more)}, classes, channels, attention={"name": attention}).eval()


@pytest.fixture
def trained(tmp_path):
    """Return a function that writes a checkpoint as fer-train does, with random weights and statistics."""

    def save(space=FER7, attention="none", channels=1, file="checkpoints/best.ckpt", **more):
        model = build(attention, channels, len(space), **more)
        with torch.no_grad():
            model.train()(torch.rand(8, channels, 48, 48))
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True)
        hyper_parameters = {
            "labels": labels.to_dict(space),
            "image_channels": channels,
            "manifest": NO_SPLITS,
        }
        hyper_parameters["config"] = {"model": settings(**more), "attention": {"name": attention}}
        hyper_parameters["stem"] = getattr(model.backbone, "stem", None)
        weights = {f"model.{name}": value for name, value in model.state_dict().items()}
        torch.save({"hyper_parameters": hyper_parameters, "state_dict": weights, "epoch": 4}, path)
        return path, model.eval()

    return save


def initialise(model, path, space=FER7, manifest=NO_SPLITS, **more):
    return load_initial_weights(model, config(**more, init_from=str(path)), space, manifest)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet", "fast_cnn", "baseline_cnn"])
def test_same_model_has_the_same_outputs(name, trained):
    path, source = trained(name=name, attention="spatial")
    model = build(name=name, attention="spatial")
    initial = initialise(model, path, name=name)
    images = torch.rand(4, 1, 48, 48)
    assert torch.equal(model(images), source(images))
    assert len(initial.messages) == 1
    assert initial.record == {
        "path": str(path),
        "epoch": 5,
        "manifest": NO_SPLITS,
        "data": [],
        "init_from": None,
    }


def test_run_folder_gives_its_best_or_last_checkpoint(trained, tmp_path):
    last, _ = trained(file="checkpoints/last.ckpt")
    assert initialise(build(), tmp_path).record["path"] == str(last)
    best, _ = trained()
    assert initialise(build(), tmp_path).record["path"] == str(best)


@pytest.mark.parametrize("space", [FERPLUS8, RAFDB7])
def test_head_of_other_emotions_is_newly_initialised(space, trained):
    path, source = trained(space)
    model = build()
    initial_head = model.head.weight.detach().clone()
    messages = initialise(model, path).messages
    features = torch.rand(2, 1, 48, 48)
    assert torch.equal(model.forward_features(features), source.forward_features(features))
    assert torch.equal(model.head.weight, initial_head)
    assert [line for line in messages if line.startswith("  head")] == [
        "  head: newly initialised for fer7 (7 emotions); "
        f"the checkpoint is for {space.name} ({len(space)} emotions)"
    ]


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "fast_cnn", "test_vit"])
@pytest.mark.parametrize(("before", "now"), [(1, 3), (3, 1)])
def test_grayscale_outputs_are_equal_with_other_channels(name, before, now, trained):
    path, source = trained(name=name, in_channels=before)
    model = build(name=name, in_channels=now)
    initialise(model, path, name=name)
    images = torch.rand(4, 1, 48, 48)
    torch.testing.assert_close(model(images), source(images), rtol=1e-4, atol=1e-5)


def test_normalisation_is_loaded(trained):
    path, _ = trained()
    content = torch.load(path)
    content["state_dict"]["model.preprocess.mean"] += 0.2
    torch.save(content, path)
    model = build(in_channels=3)
    initialise(model, path)
    assert model.preprocess.mean.flatten().tolist() == pytest.approx([0.7] * 3)


def test_pool_and_head_of_another_image_size_are_newly_initialised(trained):
    path, source = trained(name="fast_cnn")
    model = build(name="fast_cnn", image_size=64)
    messages = initialise(model, path, name="fast_cnn").messages
    assert messages[1:] == [
        "  pool: newly initialised, dense.weight is 256x4096 here and 256x2304 in the checkpoint; "
        "model.image_size differs",
        "  head: newly initialised, because the pool is new",
    ]
    images = torch.rand(2, 1, 64, 64)
    assert torch.equal(model.forward_features(images), source.forward_features(images))


def test_convolutional_model_of_another_image_size_keeps_its_head(trained):
    path, source = trained()
    model = build(image_size=64)
    assert len(initialise(model, path).messages) == 1
    images = torch.rand(2, 1, 64, 64)
    assert torch.equal(model(images), source(images))


def test_position_embeddings_are_resampled_as_in_timm(trained):
    from timm.layers import resample_abs_pos_embed

    path, source = trained(name="test_vit")
    model = build(name="test_vit", image_size=96)
    initialise(model, path, name="test_vit")
    positions = source.backbone.model.pos_embed
    expected = resample_abs_pos_embed(positions, (6, 6), (3, 3), num_prefix_tokens=1)
    torch.testing.assert_close(model.backbone.model.pos_embed, expected)
    assert model(torch.rand(2, 1, 96, 96)).shape == (2, 7)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ("none", "spatial", "  attention: SpatialAttention instead of none, newly initialised"),
        ("spatial", "none", "  attention: none instead of SpatialAttention"),
    ],
)
def test_other_attention_is_reported(before, now, expected, trained):
    path, source = trained(attention=before)
    model = build(attention=now)
    assert initialise(model, path).messages[1:] == [expected]
    assert torch.equal(model.head.weight, source.head.weight)


def test_other_architecture_is_an_error(trained):
    path, _ = trained()
    with pytest.raises(
        FerError,
        match=r"weights of fast_cnn .*, got those of test_resnet .*: \d+ of \d+ backbone keys differ",
    ):
        initialise(build(name="fast_cnn"), path, name="fast_cnn")


def test_other_widths_are_an_error(trained):
    path, _ = trained(name="fast_cnn", kwargs={"widths": [8, 16], "depths": [0, 0]})
    kwargs = {"widths": [8, 24], "depths": [0, 0]}
    with pytest.raises(
        FerError, match=r"5 of 12 backbone keys differ \(stages\.1\.0\.weight, .*, …\)"
    ) as error:
        initialise(build(name="fast_cnn", kwargs=kwargs), path, name="fast_cnn", kwargs=kwargs)
    assert "[8, 16]" in str(error.value)
    assert "[8, 24]" in str(error.value)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_timm_weights(tmp_path, suffix):
    source = timm.create_model("test_resnet", num_classes=1000).eval()
    path = tmp_path / f"weights{suffix}"
    save = safetensors.torch.save_file if suffix == ".safetensors" else torch.save
    save(source.state_dict(), path)
    model = build(channels=3, image_size=96)
    initial = initialise(model, path)
    mean, std = (torch.tensor(source.pretrained_cfg[key])[:, None, None] for key in ("mean", "std"))
    images = torch.rand(2, 3, 96, 96)
    expected = source.forward_features((images - mean) / std)
    torch.testing.assert_close(model.forward_features(images), expected)
    assert initial.record == {
        "path": str(path),
        "epoch": None,
        "manifest": None,
        "data": ["timm"],
        "init_from": None,
    }


def test_bad_initial_weights(tmp_path, trained):
    cases = {
        tmp_path / "absent": r"model\.init_from=.*absent: .*absent does not exist",
        tmp_path: r"checkpoints/best\.ckpt does not exist",
        tmp_path / "text.ckpt": "truncated file or one of another kind",
        tmp_path / "text.pth": r"model\.init_from: .*expected a weights file .*text\.pth",
        tmp_path / "other.pth": r"model\.init_from: .*other\.pth does not fit test_resnet: 0 of",
    }
    for name in ("text.ckpt", "text.pth"):
        (tmp_path / name).write_text("no weights")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    for path, message in cases.items():
        with pytest.raises(FerError, match=message):
            initialise(build(), path)
    with pytest.raises(FerError, match="expected a timm model for a timm weights file, got fast_cnn"):
        initialise(build(name="fast_cnn"), tmp_path / "other.pth", name="fast_cnn")


def test_freezing_random_weights_is_an_error():
    with pytest.raises(FerError, match="random weights"):
        load_initial_weights(build(), config(freeze_epochs=2), FER7, NO_SPLITS)
    assert load_initial_weights(build(), config(freeze_epochs=2, pretrained=True), FER7, NO_SPLITS) is None


@pytest.mark.parametrize(("stem", "num_messages"), [("auto", 0), ("default", 1)])
def test_other_stride_of_the_stem_is_reported(stem, num_messages, trained):
    """Keys and shapes are the same with and without a stride; only the outputs differ."""
    path, source = trained(name="resnet18")
    grid = source.backbone.grid[0]
    model = build(name="resnet18", stem=stem)
    messages = [
        line for line in initialise(model, path, name="resnet18", stem=stem).messages if "backbone" in line
    ]
    assert len(messages) == num_messages
    for line in messages:
        assert f"covers {48 / model.backbone.grid[0]:.0f} px, but {48 / grid:.0f} px in training" in line


def test_provenance_of_initial_weights_is_recorded(tiny_run, trained, capsys):
    path, _ = trained(FERPLUS8, name="fast_cnn", kwargs=FAST_CNN)
    content = torch.load(path)
    content["hyper_parameters"]["init_from"] = earlier = {"path": "x", "manifest": None, "init_from": None}
    torch.save(content, path)
    run = tiny_run("model=fast_cnn", f"model.init_from={path}")
    assert f"model.init_from: {path} (epoch 5, fast_cnn, 48 px, ferplus8)" in capsys.readouterr().out
    origin = run.record["init_from"]
    assert origin == {"path": str(path), "epoch": 5, "manifest": NO_SPLITS, "data": [], "init_from": earlier}
    assert load_checkpoint(run.folder / "checkpoints" / "last.ckpt").init_from == origin


def test_error_is_one_line(tiny_run, capsys):
    run = tiny_run("model.init_from=nowhere")
    assert (run.status, run.folder) == (2, None)
    assert capsys.readouterr().err.strip().count("\n") == 0
