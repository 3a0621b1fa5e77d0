"""Inference with a bundle's model: outputs as in NumPy, thread safety, and errors for invalid inputs."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tiny_bundle import SIDE, expected_probs, write_bundle

from fer.bundle.files import MODEL, read_bundle, sha256, write_card
from fer.bundle.runtime import BATCH_SIZE, OnnxClassifier
from fer.core.errors import FerError
from fer.core.labels import FER7, FERPLUS8


def random_faces(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, SIDE, SIDE, 3), np.uint8)


@pytest.fixture
def classifier(tmp_path):
    return OnnxClassifier(write_bundle(tmp_path / "bundle", attention=True))


@pytest.mark.parametrize("n", [0, 1, 2, 7, BATCH_SIZE, 2 * BATCH_SIZE + 3])
def test_probabilities_are_those_of_numpy(classifier, n):
    faces = random_faces(n)
    probs = classifier(faces)
    assert probs.shape == (n, 7)
    assert probs.dtype == np.float32
    np.testing.assert_allclose(probs, expected_probs(faces, 7), atol=1e-6)


def test_faces_may_have_any_memory_layout(classifier):
    faces = random_faces(5)
    bgr = np.ascontiguousarray(faces[..., ::-1])
    np.testing.assert_array_equal(classifier(bgr[..., ::-1]), classifier(faces))


def test_attention_is_the_second_output(classifier, tmp_path):
    faces = random_faces(BATCH_SIZE + 1)
    np.testing.assert_allclose(classifier.attention(faces), faces[..., 0] / 255, atol=1e-6)
    assert OnnxClassifier(write_bundle(tmp_path / "plain")).attention(faces) is None


def test_inference_is_thread_safe(classifier):
    batches = [random_faces(20, seed) for seed in range(16)]
    with ThreadPoolExecutor(8) as pool:
        outputs = list(pool.map(classifier, batches * 4))
    for faces, probs in zip(batches * 4, outputs, strict=True):
        np.testing.assert_allclose(probs, expected_probs(faces, 7), atol=1e-6)


@pytest.mark.parametrize(
    "faces",
    [
        random_faces(2).astype(np.float32),
        random_faces(2)[:, :40],
        random_faces(2)[..., :1],
        random_faces(1)[0],
    ],
    ids=["not uint8", "other size", "gray", "one face without its batch"],
)
def test_wrong_dtype_or_shape_is_an_error(classifier, faces):
    with pytest.raises(FerError, match="48, 48, 3"):
        classifier(faces)


def test_an_onnx_file_with_other_labels_is_an_error(tmp_path):
    bundle = write_bundle(tmp_path / "bundle", labels=FERPLUS8, graph_labels=FER7)
    with pytest.raises(FerError, match=r"neutral, happy.*angry"):
        OnnxClassifier(bundle)


def test_labels_in_another_order_are_an_error(tmp_path):
    labels = type(FER7)("own", FER7.names[::-1])
    with pytest.raises(FerError, match="in its order"):
        OnnxClassifier(write_bundle(tmp_path / "bundle", graph_labels=labels))


def test_a_card_with_another_image_size_is_an_error(tmp_path):
    bundle = write_bundle(tmp_path / "bundle")
    write_card(bundle.folder, type(bundle.card)(**vars(bundle.card) | {"image_size": 64}))
    with pytest.raises(FerError, match="64 x 64 x 3 as on the card, got a model for 48 x 48 x 3"):
        OnnxClassifier(read_bundle(bundle.folder))


def test_an_invalid_onnx_file_is_an_error_in_one_line(tmp_path):
    bundle = write_bundle(tmp_path / "bundle")
    (bundle.folder / MODEL).write_bytes(b"nothing")
    model = bundle.card.model | {"sha256": sha256(bundle.model_path)}
    write_card(bundle.folder, type(bundle.card)(**vars(bundle.card) | {"model": model}))
    with pytest.raises(FerError, match="cannot run this model") as raised:
        OnnxClassifier(read_bundle(bundle.folder))
    assert "\n" not in str(raised.value)


def test_no_torch_is_imported():
    heavy = {"torch", "pytorch_lightning", "hydra", "wandb", "matplotlib", "scipy", "rich", "onnx"}
    modules = "fer.bundle.runtime, fer.bundle.registry, fer.bundle.cli, fer.export.cli"
    code = f"import sys, {modules}; print(sorted({heavy!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
