"""Running a bundle's model: the numbers of NumPy, from any thread, and a clear no to what does not fit."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from written_bundle import SIDE, expected_probs, write_bundle

from fer.bundle.files import MODEL, read_bundle, sha256, write_card
from fer.bundle.runtime import PORTION, OnnxClassifier
from fer.errors import FerError
from fer.labels import FER7, FERPLUS8


def draw(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, SIDE, SIDE, 3), np.uint8)


@pytest.fixture
def classifier(tmp_path):
    return OnnxClassifier(write_bundle(tmp_path / "bundle", attention=True))


@pytest.mark.parametrize("n", [0, 1, 2, 7, PORTION, 2 * PORTION + 3])
def test_probabilities_are_those_of_numpy(classifier, n):
    faces = draw(n)
    probs = classifier(faces)
    assert probs.shape == (n, 7)
    assert probs.dtype == np.float32
    np.testing.assert_allclose(probs, expected_probs(faces, 7), atol=1e-6)


def test_faces_may_lie_in_memory_in_any_order(classifier):
    faces = draw(5)
    bgr = np.ascontiguousarray(faces[..., ::-1])
    np.testing.assert_array_equal(classifier(bgr[..., ::-1]), classifier(faces))


def test_attention_is_the_second_output(classifier, tmp_path):
    faces = draw(PORTION + 1)
    np.testing.assert_allclose(classifier.attention(faces), faces[..., 0] / 255, atol=1e-6)
    assert OnnxClassifier(write_bundle(tmp_path / "plain")).attention(faces) is None


def test_threads_do_not_get_in_each_others_way(classifier):
    sets = [draw(20, seed) for seed in range(16)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(classifier, sets * 4))
    for faces, probs in zip(sets * 4, answers, strict=True):
        np.testing.assert_allclose(probs, expected_probs(faces, 7), atol=1e-6)


@pytest.mark.parametrize(
    "faces",
    [draw(2).astype(np.float32), draw(2)[:, :40], draw(2)[..., :1], draw(1)[0]],
    ids=["not whole numbers", "other size", "gray", "one face without its batch"],
)
def test_other_pictures_are_refused(classifier, faces):
    with pytest.raises(FerError, match="48, 48, 3"):
        classifier(faces)


def test_an_onnx_file_with_other_labels_is_refused(tmp_path):
    bundle = write_bundle(tmp_path / "bundle", labels=FERPLUS8, told=FER7)
    with pytest.raises(FerError, match=r"neutral, happy.*angry"):
        OnnxClassifier(bundle)


def test_labels_in_another_order_are_refused(tmp_path):
    told = type(FER7)("own", FER7.names[::-1])
    with pytest.raises(FerError, match="in its order"):
        OnnxClassifier(write_bundle(tmp_path / "bundle", told=told))


def test_a_card_of_another_size_is_refused(tmp_path):
    bundle = write_bundle(tmp_path / "bundle")
    write_card(bundle.folder, type(bundle.card)(**vars(bundle.card) | {"image_size": 64}))
    with pytest.raises(FerError, match="64 x 64 x 3 as on the card, got a model of 48 x 48 x 3"):
        OnnxClassifier(read_bundle(bundle.folder))


def test_a_file_that_is_no_model_is_refused_in_one_line(tmp_path):
    bundle = write_bundle(tmp_path / "bundle")
    (bundle.folder / MODEL).write_bytes(b"nothing")
    model = bundle.card.model | {"sha256": sha256(bundle.model_path)}
    write_card(bundle.folder, type(bundle.card)(**vars(bundle.card) | {"model": model}))
    with pytest.raises(FerError, match="cannot run this model") as found:
        OnnxClassifier(read_bundle(bundle.folder))
    assert "\n" not in str(found.value)


def test_it_loads_without_torch():
    heavy = {"torch", "pytorch_lightning", "hydra", "wandb", "matplotlib", "scipy", "rich", "onnx"}
    modules = "fer.bundle.runtime, fer.bundle.registry, fer.models_cli, fer.export"
    code = f"import sys, {modules}; print(sorted({heavy!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
