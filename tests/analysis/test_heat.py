import numpy as np

from fer.analysis.heat import examples, overlay, plot_heat
from fer.analysis.predictions import Predictions
from fer.labels import FER7


def predictions(n: int = 70) -> Predictions:
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.full(7, 0.5), n).astype(np.float32)
    target = np.where(rng.random(n) < 0.5, probs.argmax(1), rng.integers(0, 6, n))  # few are neutral
    return Predictions(FER7, np.arange(n), target, np.log(probs + 1e-9), probs, None, np.array(["x"] * n))


def test_heat_colours_only_where_it_is():
    image = np.random.default_rng(0).integers(0, 256, (2, 6, 6, 1), np.uint8)
    heat = np.zeros((2, 6, 6))
    heat[0, 2, 3] = 1
    found = overlay(image, heat)
    assert np.array_equal(found[1], np.repeat(image[1], 3, axis=2))
    assert np.array_equal((found[0] != image[0]).any(-1), heat[0] > 0)
    assert found[0, 2, 3, 0] > found[0, 2, 3, 2] + 100  # yellow


def test_examples_are_right_ones_then_wrong_ones_of_each_emotion():
    given = predictions()
    for number, rows in enumerate(examples(given)):
        right = given.preds[rows] == number
        own = given.target == number
        assert (given.target[rows] == number).all()
        assert right.tolist() == sorted(right, reverse=True)
        assert right.sum() == min(2, (own & (given.preds == number)).sum())
        assert (~right).sum() == min(2, (own & (given.preds != number)).sum())
        assert len(set(rows.tolist())) == len(rows)


def test_a_row_for_each_emotion_that_has_images():
    given = predictions()
    groups = examples(given)
    rows = np.concatenate(groups)
    images = np.zeros((len(rows), 12, 12, 1), np.uint8)
    fig = plot_heat(given, images, np.zeros((len(rows), 12, 12)), groups, "t", "s")
    texts = [text.get_text() for text in fig.axes[0].texts]
    marks = [text for text in texts if text[0] in "✓✗"]
    assert [name for name in texts if name in FER7.names] == [
        name for name, group in zip(FER7.names, groups, strict=True) if len(group)
    ]
    expected = ["✓" if given.preds[row] == given.target[row] else "✗" for row in rows]
    assert [mark[0] for mark in marks] == expected
