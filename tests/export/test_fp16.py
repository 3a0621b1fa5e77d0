"""fp16 export: half the file size, nearly the same outputs."""

import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from random_weights import random_network

from fer.core.labels import FER7
from fer.data.synthetic import read_synthetic
from fer.export.graph import ExportModel, metadata, write_onnx
from fer.export.parity import check_parity
from fer.export.quantize import convert_to_fp16


@pytest.fixture(scope="module")
def network():
    return random_network("fast_cnn", 48)


@pytest.fixture
def path(network, tmp_path):
    write_onnx(ExportModel(network, True, 1.2, 48), tmp_path / "model.onnx", metadata("tiny", FER7, 1))
    return tmp_path / "model.onnx"


def test_the_file_is_half_as_large_with_similar_outputs(network, path, tmp_path):
    small = shutil.copy(path, tmp_path / "small.onnx")
    convert_to_fp16(small)
    assert small.stat().st_size < 0.6 * path.stat().st_size
    images = np.asarray(read_synthetic(64, 0, 0, 48, num_workers=1).images)
    report = check_parity(small, network, images, 1.2, "fp16")
    assert 1e-7 < report["max_difference"] < 0.01
    onnx.checker.check_model(onnx.load(small), full_check=True)


def test_values_beyond_half_precision_stay_fp32(path):
    model = onnx.load(path)
    largest = max(
        (w for w in model.graph.initializer if w.data_type == TensorProto.FLOAT),
        key=lambda w: len(w.raw_data),
    )
    values = numpy_helper.to_array(largest).copy()
    values.flat[0] = 1e6
    largest.CopyFrom(numpy_helper.from_array(values, largest.name))
    onnx.save(model, path)
    convert_to_fp16(path)
    initializers = {weights.name: weights for weights in onnx.load(path).graph.initializer}
    np.testing.assert_array_equal(numpy_helper.to_array(initializers[largest.name]), values)
