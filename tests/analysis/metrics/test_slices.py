from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, chi2, chi2_contingency, spearmanr

from fer.analysis.metrics.hypothesis_tests import mantel_haenszel
from fer.analysis.metrics.slices import measure_images, measure_pose, slice_scores, tertiles
from fer.analysis.predictions import Predictions
from fer.core.labels import FER7
from fer.data.synthetic import render_face, sample_parameters
from fer.evaluation.sections.slices import slices_section


def test_measures_match_opencv():
    images = np.random.default_rng(0).integers(0, 256, (5, 20, 24, 3), np.uint8)
    measures = measure_images(images)
    for i, image in enumerate(images):
        gray = image @ np.array([0.299, 0.587, 0.114])
        laplacian = cv2.Laplacian(gray, cv2.CV_64F)[1:-1, 1:-1]
        expected = {"brightness": gray.mean(), "contrast": gray.std(), "sharpness": laplacian.var()}
        assert {name: values[i] for name, values in measures.items()} == pytest.approx(expected, rel=1e-5)


def test_blur_lowers_sharpness_but_not_brightness():
    image = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    blurred = cv2.GaussianBlur(image, (0, 0), 1.5)
    measures = measure_images(np.stack([image, blurred])[..., None])
    assert measures["sharpness"][1] < 0.1 * measures["sharpness"][0]
    assert measures["brightness"][1] == pytest.approx(measures["brightness"][0], abs=2)


def test_pose_of_a_turned_and_tilted_face():
    frontal = np.array([[10.0, 10], [30, 10], [20, 20], [13, 30], [27, 30]])
    turned = frontal + np.array([[0, 0], [0, 0], [5, 0], [0, 0], [0, 0]])
    angle = np.radians(-20)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    measures = measure_pose(np.stack([frontal, turned, turned @ rotation.T, np.full((5, 2), np.nan)]))
    assert measures["turn"] == pytest.approx([0, 0.25, 0.25, np.nan], nan_ok=True)
    assert measures["tilt"] == pytest.approx([0, 0, 20, np.nan], nan_ok=True)


def test_pose_of_synthetic_faces_ranks_as_their_true_angles():
    rng = np.random.default_rng(6)
    yaw, pitch, roll = rng.uniform((-40, -12, -30), (40, 12, 30), (60, 3)).T
    faces = [sample_parameters(i % 7, rng) for i in range(60)]

    def measure_rendered(pitch_scale: float) -> dict[str, np.ndarray]:
        posed = [
            replace(face, yaw=yaw[i], pitch=pitch_scale * pitch[i], roll=roll[i])
            for i, face in enumerate(faces)
        ]
        return measure_pose(np.stack([render_face(face, 48)[1] for face in posed]))

    assert spearmanr(measure_rendered(pitch_scale=1)["turn"], abs(yaw)).statistic > 0.97
    assert np.median(abs(measure_rendered(pitch_scale=0)["tilt"] - abs(roll))) < 1.5


def test_tertiles_contain_every_image_once():
    values = np.append(np.random.default_rng(0).permutation(np.arange(30.0)), [np.nan, np.nan])
    masks = tertiles("turn", values)
    assert [int(rows.sum()) for rows in masks.values()] == [10, 10, 10]
    assert (np.sum(list(masks.values()), axis=0) == np.isfinite(values)).all()
    assert values[masks["turn", "ahead"]].max() < values[masks["turn", "turned"]].min()


def test_accuracy_matches_a_loop_and_scipys_interval():
    rng = np.random.default_rng(0)
    target, preds, group = rng.integers(0, 3, 200), rng.integers(0, 3, 200), rng.random(200) < 0.4
    one = slice_scores(target, preds, {("copy in train", "yes"): group})[0]
    hits = sum(int(target[i] == preds[i]) for i in range(200) if group[i])
    recall = [np.mean([preds[i] == k for i in range(200) if target[i] == k]) for k in range(3)]
    interval = binomtest(hits, int(group.sum())).proportion_ci(method="wilson")
    assert one.accuracy.value == hits / group.sum()
    assert (one.accuracy.low, one.accuracy.high) == pytest.approx((interval.low, interval.high))
    assert one.expected == pytest.approx(np.mean([recall[target[i]] for i in range(200) if group[i]]))


def test_one_stratum_matches_the_chi_squared_test():
    rng = np.random.default_rng(1)
    group, hits = rng.random(500) < 0.3, rng.random(500) < 0.6
    table = [[(group & hits).sum(), (group & ~hits).sum()], [(~group & hits).sum(), (~group & ~hits).sum()]]
    expected = chi2.sf(chi2_contingency(table, correction=False).statistic * 499 / 500, 1)
    assert mantel_haenszel(group, hits, np.zeros(500, int)) == pytest.approx(expected)


def test_strata_match_a_permutation_test_within_strata():
    rng = np.random.default_rng(2)
    strata = rng.integers(0, 3, 400)
    group = rng.random(400) < np.array([0.2, 0.5, 0.8])[strata]
    hits = rng.random(400) < np.array([0.3, 0.5, 0.9])[strata] + 0.08 * group
    p = mantel_haenszel(group, hits, strata)
    orders = [np.flatnonzero(strata == k) for k in range(3)]

    def shuffled() -> int:
        return sum(int((group[rows] & hits[rng.permutation(rows)]).sum()) for rows in orders)

    draws = np.array([shuffled() for _ in range(4000)])
    observed, expected = (group & hits).sum(), draws.mean()
    assert p == pytest.approx((abs(draws - expected) >= abs(observed - expected) - 0.5).mean(), abs=0.03)


def test_a_harder_mix_of_emotions_alone_is_not_significant():
    rng = np.random.default_rng(3)
    target = rng.integers(0, 2, 3000)
    preds = np.where(rng.random(3000) < np.array([0.4, 0.9])[target], target, 1 - target)
    group = rng.random(3000) < np.array([0.7, 0.2])[target]
    one = slice_scores(target, preds, {("brightness", "dark"): group})[0]
    assert one.accuracy.high < (preds == target).mean()
    assert one.accuracy.value == pytest.approx(one.expected, abs=0.03)
    assert not one.differs


def test_too_few_images_are_not_tested():
    hits = np.arange(100) % 2 == 0
    assert mantel_haenszel(np.arange(100) < 6, hits, np.zeros(100, int)) is None
    one = slice_scores(np.zeros(4, int), np.zeros(4, int), {("emotion", "sad"): np.zeros(4, bool)})[0]
    assert (one.accuracy.value, one.accuracy.note, one.expected, one.p_holm) == (None, "no image", None, None)


def test_section_names_significant_slices_and_missing_factors():
    rng = np.random.default_rng(4)
    n = 1200
    target, light = rng.integers(0, 7, n), rng.integers(20, 220, n)
    is_correct = rng.random(n) < np.where(light < 90, 0.3, 0.8)
    probs = np.eye(7, dtype=np.float32)[np.where(is_correct, target, (target + 1) % 7)]
    images = np.clip(light[:, None, None, None] + rng.normal(0, 10, (n, 16, 16, 1)), 0, 255).astype(np.uint8)
    source = np.array(["x"] * n)
    table = Predictions(FER7, np.arange(n), target, probs, probs, None, source)
    section = slices_section(table, images, None, None, "no facial landmarks")
    by_key = {(one["factor"], one["name"]): one for one in section.numbers["slices"]}
    assert by_key["brightness", "dark"]["differs"]
    weaker, stronger = section.paragraphs[0].split(" Significantly stronger ")
    assert weaker.startswith("Significantly weaker than other images of the same emotions: brightness dark")
    assert "brightness bright" in stronger
    assert "brightness dark" not in stronger
    assert any("no facial landmarks" in text for text in section.paragraphs)
    assert "age, sex" in section.paragraphs[-1]
    assert len(section.tables[0].rows) == 7 + 9


@pytest.fixture
def faces():
    """Return predictions, images, which of them have a (memorised) copy in train, and landmarks."""
    rng = np.random.default_rng(5)
    n = 300
    target = rng.integers(0, 7, n)
    copied = rng.random(n) < 0.5
    probs = np.eye(7, dtype=np.float32)[np.where(copied | (rng.random(n) < 0.4), target, (target + 1) % 7)]
    images = rng.integers(0, 256, (n, 8, 8, 1), np.uint8)
    landmarks = rng.normal(0, 1, (n, 5, 2)) + np.array([[10, 10], [30, 10], [20, 20], [13, 30], [27, 30]])
    table = Predictions(FER7, np.arange(n), target, probs, probs, None, np.array(["x"] * n))
    return table, images, copied, landmarks


def counts(section):
    return {(one["factor"], one["name"]): one["accuracy"].n for one in section.numbers["slices"]}


def test_faces_without_landmarks_are_one_slice(faces):
    table, images, _, landmarks = faces
    landmarks[:60] = np.nan
    section = slices_section(table, images, None, landmarks, "")
    numbers = counts(section)
    assert numbers["five points", "not found"] == 60
    assert [numbers["turn", name] for name in ("ahead", "middle", "turned")] == [80, 80, 80]
    assert not [key for key in numbers if key[1] == "unknown"]
    assert "head pose" in section.tables[0].caption


@pytest.mark.parametrize("points", ["none", "all unknown"])
def test_pose_is_not_mentioned_without_landmarks(points, faces):
    table, images, _, landmarks = faces
    section = slices_section(
        table, images, None, None if points == "none" else np.full_like(landmarks, np.nan), ""
    )
    assert not {"turn", "tilt"} & {factor for factor, _ in counts(section)}
    assert counts(section).get(("five points", "not found")) == (None if points == "none" else 300)
    assert "brightness, contrast and sharpness" in section.tables[0].caption
    assert "pose" not in section.tables[0].caption + section.paragraphs[0]


def test_section_with_copies_and_landmarks(faces):
    section = slices_section(*faces, "")
    assert "copy in the training set. The accuracy on these is 100.0 %" in section.paragraphs[1]
    assert "(the difference within emotions is significant)" in section.paragraphs[1]
    factors = {one["factor"] for one in section.numbers["slices"]}
    assert factors == {"emotion", "brightness", "contrast", "sharpness", "turn", "tilt", "copy in train"}


@given(st.integers(0, 2**32 - 1), st.floats(-0.4, 0.4), st.floats(0, 1))
@settings(max_examples=20, deadline=None)
def test_each_sentence_is_true_of_its_slices(seed, effect, confounding):
    """Random recalls, a slice whose emotions differ from the others, and an effect of its own."""
    rng = np.random.default_rng(seed)
    n = 2000
    target, recall = rng.integers(0, 7, n), rng.uniform(0, 1, 7)
    light = rng.integers(0, 256, n) * (1 - confounding) + confounding * recall[target] * 255
    chance = np.clip(recall[target] + effect * (light < np.quantile(light, 1 / 3)), 0, 1)
    probs = np.eye(7, dtype=np.float32)[np.where(rng.random(n) < chance, target, (target + 1) % 7)]
    images = np.repeat(light[:, None, None, None], 9, 1).astype(np.uint8).reshape(n, 3, 3, 1)
    table = Predictions(FER7, np.arange(n), target, probs, probs, None, np.array(["x"] * n))
    copied = light > 128
    section = slices_section(table, images, copied, None, "")
    correct = probs.argmax(1) == target
    observed = {}
    for row in section.numbers["slices"]:
        name = f"{row['factor']} {row['name']}"
        rows = target == FER7.names.index(row["name"]) if row["factor"] == "emotion" else None
        if rows is not None and rows.any():
            # An emotion is compared with all images.
            assert row["excess"] == pytest.approx(correct[rows].mean() - correct.mean())
        observed[name] = row
    sentences = section.paragraphs[0].split(". ")
    named = set()
    for sentence in sentences:
        sign = {"weaker": -1, "stronger": 1}.get(sentence.split()[1], 0)
        parts = sentence.split(": ", 1)[1].split("; ") if sign else []
        excesses = []
        for part in parts:
            name = part.split(":")[0]
            row = observed[name]
            assert row["differs"]
            assert sign * row["excess"] > 0
            assert ("below" if sign < 0 else "above") in part
            excesses.append(abs(row["excess"]))
            named.add(name)
        assert excesses == sorted(excesses, reverse=True)
    factors = ("brightness", "contrast", "sharpness")
    assert named == {key for key, row in observed.items() if row["differs"] and row["factor"] in factors}
    copies = observed["copy in train yes"]
    if copies["accuracy"].n:
        assert ("is significant)" in section.paragraphs[1]) == copies["differs"]
    for cells in section.tables[0].rows:
        accuracy, expected, difference = cells[2], cells[3], cells[4]
        if expected is not None:
            shown = float(accuracy.split()[0]) - float(expected.split()[0])
            assert float(difference) == pytest.approx(shown, abs=0.11)
            # What differs is not shown as equal.
            assert cells[-1] != "yes" or float(difference) != 0
