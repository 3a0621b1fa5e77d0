"""Models built from a config, and errors that name the key."""

import hydra
import pytest
import torch
import yaml
from omegaconf import OmegaConf

from fer.core.errors import FerError
from fer.models.factory import build_model, count_parameters

TIMM = ["resnet18", "resnet50", "mobilenetv2_100", "efficientnet_b0", "vit_tiny_patch16_224"]


def build(config, num_classes, image_channels):
    """Build a model from one dict with the attention in it."""
    config = dict(config)
    attention = config.pop("attention", "none")
    return build_model(config, num_classes, image_channels, attention)


@pytest.mark.parametrize("attention", ["none", "spatial"])
@pytest.mark.parametrize("name", [*TIMM, "baseline_cnn", "fast_cnn"])
def test_every_parameter_gets_a_gradient(name, attention):
    model = build_model({"name": name}, num_classes=7, image_channels=1, attention={"name": attention})
    features = model.forward_features(torch.rand(2, 1, 48, 48))
    logits = model.forward_head(features)
    assert features.shape[:2] == (2, model.backbone.num_features)
    if name in TIMM:
        assert features.shape[2:] == (3, 3)
    assert logits.shape == (2, 7)
    logits.logsumexp(1).sum().backward()
    unused = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert unused == []
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("config", "lr"),
    [
        ({"name": "baseline_cnn", "kwargs": {"conv_dropout": 0.0}}, 1e-3),
        ({"name": "test_resnet", "stem": "default", "attention": {"name": "spatial"}}, 3e-3),
    ],
)
def test_overfits_one_batch(config, lr):
    torch.manual_seed(0)
    model = build(config, num_classes=7, image_channels=1)
    images, target = torch.rand(16, 1, 48, 48), torch.arange(16) % 7
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for _ in range(120):
        loss = torch.nn.functional.cross_entropy(model(images), target)
        if loss < 0.1:
            return
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    pytest.fail(f"loss is still {loss:.3f}")


@pytest.mark.parametrize("name", ["baseline_cnn", "fast_cnn", "test_resnet", "test_vit"])
@pytest.mark.parametrize("in_channels", [None, 1, 3])
def test_same_dict_gives_same_architecture(name, in_channels):
    config = {"name": name, "in_channels": in_channels, "attention": {"name": "spatial", "kernel_size": 3}}
    first, second = (build(config, num_classes=7, image_channels=3).eval() for _ in range(2))
    second.load_state_dict(first.state_dict())
    images = torch.rand(2, 3, 48, 48)
    assert torch.equal(first(images), second(images))
    assert count_parameters(first) == count_parameters(second)


@pytest.mark.parametrize(("size", "dense_inputs"), [(48, 1152), (64, 2048), (50, 1152)])
def test_dense_layer_of_the_baseline_depends_on_the_image_size(size, dense_inputs):
    model = build_model({"name": "baseline_cnn", "image_size": size}, num_classes=7, image_channels=1)
    assert model.pool.dense.in_features == dense_inputs
    assert model(torch.rand(2, 1, size, size)).shape == (2, 7)


def test_multiply_adds_of_the_baseline():
    from torch.utils.flop_counter import FlopCounterMode

    model = build_model({"name": "baseline_cnn"}, num_classes=7, image_channels=1)
    with FlopCounterMode(display=False) as counter:
        model(torch.rand(1, 1, 48, 48))
    assert counter.get_total_flops() / 2 == pytest.approx(8.6e6, rel=0.02)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "resnett18"}, "Did you mean 'resnet18'"),
        ({"name": "hf-hub:timm/resnet18"}, "no model"),
        ({"name": "resnet18.nonsense"}, "resnet18.a1_in1k"),
        ({"name": None}, "model.name"),
        ({}, "model.name"),
        ({"name": "test_resnet", "nmae": 1}, "got 'nmae'.*Did you mean 'name'"),
        ({"name": "test_resnet", "kwargs": {"depth": 3}}, "unexpected keyword argument 'depth'"),
        ({"name": "baseline_cnn", "kwargs": {"depth": 3}}, "unexpected keyword argument 'depth'"),
        ({"name": "test_resnet", "kwargs": {"in_chans": 3}}, "model.in_channels"),
        ({"name": "test_resnet", "stem": "smal"}, "Did you mean 'small'"),
        ({"name": "test_vit", "stem": "small"}, "patch_size"),
        ({"name": "test_efficientnet", "stem": "unpooled"}, "no pooling in its stem"),
        ({"name": "test_vit", "image_size": 50}, "multiple of 16, got 50"),
        ({"name": "baseline_cnn", "stem": "small"}, "model.stem"),
        ({"name": "baseline_cnn", "pretrained": True}, "no pretrained weights"),
        ({"name": "test_resnet", "in_channels": 2}, "expected one of 1, 3 or null, got 2"),
        ({"name": "test_resnet", "image_size": 8}, "model.image_size"),
        ({"name": "test_resnet", "dropout": 1.5}, "model.dropout"),
        ({"name": "test_resnet", "attention": {"name": "spatal"}}, "Did you mean 'spatial'"),
        ({"name": "test_resnet", "attention": {"name": "spatial", "size": 7}}, "'size'"),
        (
            {"name": "test_resnet", "attention": {"name": "spatial", "kernel_size": 4}},
            "expected an odd number such as 7, got 4",
        ),
        ({"name": "test_convnext", "attention": {"name": "spatial"}}, "one cell"),
    ],
)
def test_config_errors_name_the_key(config, message):
    with pytest.raises(FerError, match=message):
        build(config, num_classes=7, image_channels=1)


def test_every_model_config_builds(pytestconfig):
    folder = pytestconfig.rootpath / "conf" / "model"
    attention = yaml.safe_load((folder.parent / "attention" / "spatial.yaml").read_text())
    keys = {"name", "image_size", "in_channels", "pretrained", "stem", "dropout", "kwargs"}
    keys |= {"init_from", "freeze_epochs", "pool"}
    for file in folder.glob("*.yaml"):
        with hydra.initialize_config_dir(str(folder.parent), version_base="1.3"):
            config = OmegaConf.to_container(hydra.compose("train", [f"model={file.stem}"]).model)
        assert set(config) == keys, file
        if config["name"] == "???":
            config["name"] = "test_resnet"
        build_model({**config}, num_classes=7, image_channels=1, attention=attention)


@pytest.mark.parametrize(
    ("pool", "kind"), [("auto", "FlattenDense"), ("mean", "GlobalAveragePool"), ("dense", "FlattenDense")]
)
def test_pool_by_name(pool, kind):
    model = build_model(
        {"name": "fast_cnn", "pool": pool, "kwargs": {"widths": [8, 16], "depths": [0, 0]}}, 7, 1
    )
    assert type(model.pool).__name__ == kind


def test_an_unknown_pool_is_refused():
    with pytest.raises(FerError, match=r"model\.pool: expected one of auto, mean, dense, got 'max'"):
        build_model({"name": "fast_cnn", "pool": "max"}, 7, 1)
