"""Starting from trained weights: what is taken over, what starts anew, what is refused."""

import pytest
import safetensors.torch
import timm
import torch

from fer import labels
from fer.checkpoint import load_checkpoint
from fer.errors import FerError
from fer.labels import FER7, FERPLUS8, RAFDB7
from fer.models import build_model
from fer.training.transfer import start_from

NO_SPLITS = {"splits": {}}
FAST = {"widths": [24, 48, 96, 192], "depths": [0, 0, 0, 0]}  # of conf/model/fast_cnn.yaml


def settings(name="test_resnet", **more):
    return {"name": name, "image_size": 48, "in_channels": None, "pretrained": False, "init_from": None,
            "freeze_epochs": 0, "stem": "auto", "dropout": 0.0, "kwargs": {}, **more}  # fmt: skip


def build(attention="none", channels=1, classes=7, **more):
    return build_model({**settings(**more), "attention": {"name": attention}}, classes, channels).eval()


@pytest.fixture
def trained(tmp_path):
    """Write a checkpoint of a model with weights and statistics of its own, as fer-train's look."""

    def save(space=FER7, attention="none", channels=1, file="checkpoints/best.ckpt", **more):
        model = build(attention, channels, len(space), **more)
        with torch.no_grad():
            model.train()(torch.rand(8, channels, 48, 48))
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True)
        about = {"labels": labels.to_dict(space), "image_channels": channels, "manifest": NO_SPLITS}
        about["config"] = {"model": settings(**more), "attention": {"name": attention}}
        about["stem"] = getattr(model.backbone, "stem", None)
        weights = {f"model.{name}": value for name, value in model.state_dict().items()}
        torch.save({"hyper_parameters": about, "state_dict": weights, "epoch": 4}, path)
        return path, model.eval()

    return save


def start(model, path, space=FER7, manifest=NO_SPLITS, **more):
    return start_from(model, {**settings(**more), "init_from": str(path)}, space, manifest)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet", "fast_cnn", "baseline_cnn"])
def test_same_model_gives_the_same_outputs(name, trained):
    path, source = trained(name=name, attention="spatial")
    model = build(name=name, attention="spatial")
    origin = start(model, path, name=name)
    images = torch.rand(4, 1, 48, 48)
    assert torch.equal(model(images), source(images))
    assert len(origin.lines) == 1
    assert origin.record == {
        "path": str(path),
        "epoch": 5,
        "manifest": NO_SPLITS,
        "data": [],
        "init_from": None,
    }


def test_a_run_folder_means_its_best_epoch_or_its_last(trained, tmp_path):
    last, _ = trained(file="checkpoints/last.ckpt")
    assert start(build(), tmp_path).record["path"] == str(last)
    best, _ = trained()
    assert start(build(), tmp_path).record["path"] == str(best)


@pytest.mark.parametrize("space", [FERPLUS8, RAFDB7])
def test_head_of_other_emotions_starts_anew(space, trained):
    path, source = trained(space)
    model = build()
    fresh = model.head.weight.detach().clone()
    lines = start(model, path).lines
    features = torch.rand(2, 1, 48, 48)
    assert torch.equal(model.forward_features(features), source.forward_features(features))
    assert torch.equal(model.head.weight, fresh)
    assert [line for line in lines if line.startswith("  head")] == [
        f"  head: starts anew for fer7 (7 emotions); it was made for {space.name} ({len(space)} emotions)"
    ]


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "fast_cnn", "test_vit"])
@pytest.mark.parametrize(("before", "now"), [(1, 3), (3, 1)])
def test_gray_pictures_look_the_same_to_other_channels(name, before, now, trained):
    path, source = trained(name=name, in_channels=before)
    model = build(name=name, in_channels=now)
    start(model, path, name=name)
    images = torch.rand(4, 1, 48, 48)
    torch.testing.assert_close(model(images), source(images), rtol=1e-4, atol=1e-5)


def test_normalisation_comes_along(trained):
    path, _ = trained()
    content = torch.load(path)
    content["state_dict"]["model.preprocess.mean"] += 0.2
    torch.save(content, path)
    model = build(in_channels=3)
    start(model, path)
    assert model.preprocess.mean.flatten().tolist() == pytest.approx([0.7] * 3)


def test_pool_for_another_image_size_starts_anew_with_its_head(trained):
    path, source = trained(name="fast_cnn")
    model = build(name="fast_cnn", image_size=64)
    lines = start(model, path, name="fast_cnn").lines
    assert lines[1:] == [
        "  pool: starts anew with dense.weight of 256x4096; it was 256x2304, for another model.image_size",
        "  head: starts anew, as the pool before it does",
    ]
    images = torch.rand(2, 1, 64, 64)
    assert torch.equal(model.forward_features(images), source.forward_features(images))


def test_convolutions_take_any_image_size_and_keep_their_head(trained):
    path, source = trained()
    model = build(image_size=64)
    assert len(start(model, path).lines) == 1
    images = torch.rand(2, 1, 64, 64)
    assert torch.equal(model(images), source(images))


def test_positions_are_resampled_as_timm_does(trained):
    from timm.layers import resample_abs_pos_embed

    path, source = trained(name="test_vit")
    model = build(name="test_vit", image_size=96)
    start(model, path, name="test_vit")
    positions = source.backbone.model.pos_embed
    expected = resample_abs_pos_embed(positions, (6, 6), (3, 3), num_prefix_tokens=1)
    torch.testing.assert_close(model.backbone.model.pos_embed, expected)
    assert model(torch.rand(2, 1, 96, 96)).shape == (2, 7)


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ("none", "spatial", "  attention: SpatialAttention instead of none, starts anew"),
        ("spatial", "none", "  attention: none instead of SpatialAttention"),
    ],
)
def test_other_attention_is_said(before, now, said, trained):
    path, source = trained(attention=before)
    model = build(attention=now)
    assert start(model, path).lines[1:] == [said]
    assert torch.equal(model.head.weight, source.head.weight)


def test_other_architecture_is_refused_with_a_count(trained):
    path, _ = trained()
    with pytest.raises(
        FerError,
        match=r"test_resnet .*but this run builds fast_cnn.*: \d+ of \d+ keys of the backbone differ",
    ):
        start(build(name="fast_cnn"), path, name="fast_cnn")


def test_other_widths_are_refused_and_named(trained):
    path, _ = trained(name="fast_cnn", kwargs={"widths": [8, 16], "depths": [0, 0]})
    kwargs = {"widths": [8, 24], "depths": [0, 0]}
    with pytest.raises(
        FerError, match=r"5 of 12 keys of the backbone differ \(stages\.1\.0\.weight, .*, …\)"
    ) as error:
        start(build(name="fast_cnn", kwargs=kwargs), path, name="fast_cnn", kwargs=kwargs)
    assert "[8, 16]" in str(error.value)
    assert "[8, 24]" in str(error.value)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_of_timm(tmp_path, suffix):
    source = timm.create_model("test_resnet", num_classes=1000).eval()
    path = tmp_path / f"weights{suffix}"
    save = safetensors.torch.save_file if suffix == ".safetensors" else torch.save
    save(source.state_dict(), path)
    model = build(channels=3, image_size=96)
    origin = start(model, path)
    mean, std = (torch.tensor(source.pretrained_cfg[key])[:, None, None] for key in ("mean", "std"))
    images = torch.rand(2, 3, 96, 96)
    expected = source.forward_features((images - mean) / std)
    torch.testing.assert_close(model.forward_features(images), expected)
    assert origin.record == {
        "path": str(path),
        "epoch": None,
        "manifest": None,
        "data": ["timm"],
        "init_from": None,
    }


def test_what_cannot_be_started_from(tmp_path, trained):
    cases = {
        tmp_path / "absent": r"model\.init_from=.*absent: .* nothing of that name",
        tmp_path: r"there is no .*checkpoints/best\.ckpt",
        tmp_path / "text.ckpt": "cut off or of another kind",
        tmp_path / "text.pth": r"model\.init_from: .*text\.pth is no weights file",
        tmp_path / "other.pth": r"model\.init_from: .*other\.pth does not fit test_resnet: 0 of",
    }
    for name in ("text.ckpt", "text.pth"):
        (tmp_path / name).write_text("no weights")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    for path, message in cases.items():
        with pytest.raises(FerError, match=message):
            start(build(), path)
    with pytest.raises(FerError, match="fast_cnn is no model of timm"):
        start(build(name="fast_cnn"), tmp_path / "other.pth", name="fast_cnn")


def test_freezing_random_weights_is_refused():
    with pytest.raises(FerError, match="random weights"):
        start_from(build(), settings(freeze_epochs=2), FER7, NO_SPLITS)
    assert start_from(build(), settings(freeze_epochs=2, pretrained=True), FER7, NO_SPLITS) is None


@pytest.mark.parametrize(("stem", "told"), [("auto", 0), ("default", 1)])
def test_another_stride_of_the_stem_is_told(stem, told, trained):
    """Keys and shapes are the same with and without: only the outputs differ."""
    path, source = trained(name="resnet18")
    grid = source.backbone.grid[0]
    model = build(name="resnet18", stem=stem)
    lines = [line for line in start(model, path, name="resnet18", stem=stem).lines if "backbone" in line]
    assert len(lines) == told
    for line in lines:
        assert f"covers {48 / model.backbone.grid[0]:.0f} px, where it was trained {48 / grid:.0f} px" in line


def test_a_run_says_where_it_came_from(tiny_run, trained, capsys):
    path, _ = trained(FERPLUS8, name="fast_cnn", kwargs=FAST)
    content = torch.load(path)
    content["hyper_parameters"]["init_from"] = earlier = {"path": "x", "manifest": None, "init_from": None}
    torch.save(content, path)
    run = tiny_run("model=fast_cnn", f"model.init_from={path}")
    assert f"model.init_from: {path} (epoch 5, fast_cnn, 48 px, ferplus8)" in capsys.readouterr().out
    origin = run.record["init_from"]
    assert origin == {"path": str(path), "epoch": 5, "manifest": NO_SPLITS, "data": [], "init_from": earlier}
    assert load_checkpoint(run.folder / "checkpoints" / "last.ckpt").init_from == origin


def test_a_mistake_is_one_line(tiny_run, capsys):
    run = tiny_run("model.init_from=nowhere")
    assert (run.status, run.folder) == (2, None)
    assert capsys.readouterr().err.strip().count("\n") == 0
