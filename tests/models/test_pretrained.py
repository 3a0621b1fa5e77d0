"""Pretrained weights from files and from the hub."""

import time

import huggingface_hub
import pytest
import safetensors.torch
import timm
import torch

from fer.core.errors import FerError
from fer.models import pretrained
from fer.models.factory import build_model


def save(model, path):
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(model.state_dict(), path)
    else:
        torch.save({"state_dict": model.state_dict()}, path)
    return str(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet"])
def test_weights_file_gives_timms_features(tmp_path, name, suffix):
    source = timm.create_model(name, num_classes=1000).eval()
    path = save(source, tmp_path / f"weights{suffix}")
    model = build_model({"name": name, "pretrained": path, "stem": "default"}, 7, 3).eval()
    mean, std = (torch.tensor(source.pretrained_cfg[key])[:, None, None] for key in ("mean", "std"))
    images = torch.rand(2, 3, 48, 48)
    expected = source.forward_features((images - mean) / std)
    torch.testing.assert_close(model.forward_features(images), expected)


def test_weights_file_is_adapted_to_gray_and_to_the_grid(tmp_path):
    source = timm.create_model("test_vit", num_classes=10)  # 160 px: 10x10 patches
    path = save(source, tmp_path / "vit.pth")
    model = build_model({"name": "test_vit", "pretrained": path}, 7, 1).backbone.model
    kernel = source.patch_embed.proj.weight
    torch.testing.assert_close(model.patch_embed.proj.weight, kernel.sum(dim=1, keepdim=True))
    assert model.pos_embed.shape[1] == 10  # 3x3 patches and the class token
    torch.testing.assert_close(model.blocks[0].mlp.fc1.weight, source.blocks[0].mlp.fc1.weight)


def test_model_is_rebuilt_without_the_weights_file(tmp_path):
    path = save(timm.create_model("test_resnet"), tmp_path / "weights.pth")
    config = {"name": "test_resnet", "pretrained": path}
    trained = build_model(config, 7, 1).eval()
    rebuilt = build_model({**config, "pretrained": False}, 7, 1).eval()
    rebuilt.load_state_dict(trained.state_dict())
    images = torch.rand(2, 1, 48, 48)
    assert torch.equal(rebuilt(images), trained(images))


def test_other_architecture_is_refused_with_a_count(tmp_path):
    path = save(timm.create_model("test_resnet"), tmp_path / "weights.pth")
    with pytest.raises(FerError, match=r"does not fit test_efficientnet: \d of \d+ keys"):
        build_model({"name": "test_efficientnet", "pretrained": path}, 7, 3)


def test_other_widths_are_refused_with_a_count(tmp_path):
    path = save(timm.create_model("test_resnet", channels=(16, 24, 32, 48)), tmp_path / "weights.pth")
    with pytest.raises(FerError, match=r"does not fit test_resnet: [1-9]\d* of \d+ keys"):
        build_model({"name": "test_resnet", "pretrained": path}, 7, 3)


def test_missing_keys_are_named(tmp_path):
    state = timm.create_model("test_resnet").state_dict()
    del state["layer1.0.conv1.weight"]
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(FerError, match=r"Missing: layer1\.0\.conv1\.weight\."):
        build_model({"name": "test_resnet", "pretrained": str(tmp_path / "weights.pth")}, 7, 3)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.pth", None, "no file"),
        ("text.pth", b"not weights", "expected a weights file"),
        ("text.safetensors", b"not weights", "expected a weights file"),
    ],
)
def test_invalid_weights_files(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FerError, match=message):
        build_model({"name": "test_resnet", "pretrained": str(path)}, 7, 3)


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    class Payload:
        def __reduce__(self):
            return (pytest.fail, ("the pickle ran code",))

    torch.save({"weight": Payload()}, tmp_path / "weights.pth")
    with pytest.raises(FerError, match="expected a weights file"):
        build_model({"name": "test_resnet", "pretrained": str(tmp_path / "weights.pth")}, 7, 3)


@pytest.fixture
def unreachable_hub(monkeypatch, tmp_path):
    """An unreachable hub and an empty cache, as on a machine without network."""
    monkeypatch.setattr(pretrained.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(pretrained.constants, "HF_HUB_CACHE", str(tmp_path))


def test_offline_download_fails_fast_with_advice(unreachable_hub):
    start = time.perf_counter()
    with pytest.raises(FerError, match=r"cannot be reached.*model\.pretrained=FILE") as error:
        build_model({"name": "test_resnet", "pretrained": True}, 7, 3)
    assert time.perf_counter() - start < 30  # the hub client alone takes 47 s
    assert "\n" not in str(error.value)
    assert not huggingface_hub.constants.HF_HUB_OFFLINE  # restored


def test_failed_download_names_the_reason(monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("disk is full\nmore")

    monkeypatch.setattr(pretrained, "hub_is_reachable", lambda: True)
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", fail)
    with pytest.raises(FerError, match=r"disk is full\)\. Use model\.pretrained=FILE"):
        build_model({"name": "test_resnet", "pretrained": True}, 7, 3)


def test_downloaded_weights_are_loaded(monkeypatch):
    source = timm.create_model("test_resnet", num_classes=1000)
    monkeypatch.setattr(pretrained, "hub_is_reachable", lambda: True)
    monkeypatch.setattr(
        "timm.models._builder.load_state_dict_from_hf", lambda *args, **kwargs: source.state_dict()
    )
    model = build_model({"name": "test_resnet", "pretrained": True}, 7, 3)
    torch.testing.assert_close(model.backbone.model.layer4[0].conv1.weight, source.layer4[0].conv1.weight)
    assert model.preprocess.mean.flatten().tolist() == pytest.approx(source.pretrained_cfg["mean"])
