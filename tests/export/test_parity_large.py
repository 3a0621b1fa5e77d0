"""Parity and opset of every supported network, at full width and small image size. Slow: half a minute."""

import numpy as np
import onnx
import pytest
from random_weights import random_network

from fer.core.labels import FER7
from fer.data.synthetic import read_synthetic
from fer.export.compatibility import MIN_OPSET, standard_opset
from fer.export.graph import ExportModel, metadata, write_onnx
from fer.export.parity import check_parity

pytestmark = pytest.mark.slow
# Channels of the training images and of the network.
GRAY, COLOUR, BOTH = (1, 1), (3, 3), (1, 3)
# Name, side in pixels, attention, channels, options. A network with attention covers the one without.
CASES = [
    ("fast_cnn", 64, "squeeze_excitation", COLOUR, {}),
    ("baseline_cnn", 32, "multi_head", GRAY, {}),
    ("resnet18", 32, "cbam", BOTH, {}),  # a network for colour, trained on grayscale
    ("resnet50", 64, "spatial", BOTH, {"stem": "default"}),
    ("mobilenetv2_100", 32, "spatial", BOTH, {}),
    ("efficientnet_b0", 32, "spatial", BOTH, {}),
    ("vit_tiny_patch16_224", 64, "spatial", BOTH, {}),
]


@pytest.mark.parametrize(("name", "side", "attention", "channels", "options"), CASES)
def test_outputs_match_torch(name, side, attention, channels, options, tmp_path):
    image_channels, network_channels = channels
    # Deep random layers amplify rounding more than trained ones: at a spread of 2, mobilenetv2_100 in torch
    # differs by 2e-5 from float64. An export error would still be a hundred times larger.
    options = {"attention": attention, "in_channels": network_channels, "spread": 0.1, **options}
    model = random_network(name, side, image_channels, **options)
    path = tmp_path / "model.onnx"
    write_onnx(ExportModel(model, image_channels == 1, 1.3, side), path, metadata(name, FER7, 1))
    file = onnx.load(path)
    # A vision transformer needs the operator of layer norm.
    expected = (17, 8) if name.startswith("vit") else (MIN_OPSET, 7)
    assert (standard_opset(file), file.ir_version) == expected
    images = np.asarray(read_synthetic(21, 0, 0, side, image_channels == 3, num_workers=1).images)
    report = check_parity(path, model, images, 1.3)
    assert report["max_difference"] <= 1e-5
    assert ("max_attention_difference" in report) == (attention in ("spatial", "cbam", "multi_head"))
