import numpy as np

from fer.analysis.plots.images import overlay_saliency, plot_saliency, sample_examples
from fer.analysis.predictions import Predictions
from fer.core.labels import FER7


def predictions(n: int = 70) -> Predictions:
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.full(7, 0.5), n).astype(np.float32)
    # Few images are neutral
    target = np.where(rng.random(n) < 0.5, probs.argmax(1), rng.integers(0, 6, n))
    return Predictions(FER7, np.arange(n), target, np.log(probs + 1e-9), probs, None, np.array(["x"] * n))


def test_overlay_changes_only_salient_pixels():
    image = np.random.default_rng(0).integers(0, 256, (2, 6, 6, 1), np.uint8)
    saliency = np.zeros((2, 6, 6))
    saliency[0, 2, 3] = 1
    overlaid = overlay_saliency(image, saliency)
    assert np.array_equal(overlaid[1], np.repeat(image[1], 3, axis=2))
    assert np.array_equal((overlaid[0] != image[0]).any(-1), saliency[0] > 0)
    # Yellow
    assert overlaid[0, 2, 3, 0] > overlaid[0, 2, 3, 2] + 100


def test_examples_are_correct_then_wrong_images_of_each_emotion():
    table = predictions()
    for number, rows in enumerate(sample_examples(table)):
        correct = table.preds[rows] == number
        is_label = table.target == number
        assert (table.target[rows] == number).all()
        assert correct.tolist() == sorted(correct, reverse=True)
        assert correct.sum() == min(2, (is_label & (table.preds == number)).sum())
        assert (~correct).sum() == min(2, (is_label & (table.preds != number)).sum())
        assert len(set(rows.tolist())) == len(rows)


def test_plot_has_a_row_for_each_emotion_with_images():
    table = predictions()
    groups = sample_examples(table)
    rows = np.concatenate(groups)
    images = np.zeros((len(rows), 12, 12, 1), np.uint8)
    fig = plot_saliency(table, images, np.zeros((len(rows), 12, 12)), groups, "t", "s")
    texts = [text.get_text() for text in fig.axes[0].texts]
    marks = [text for text in texts if text[0] in "✓✗"]
    assert [name for name in texts if name in FER7.names] == [
        name for name, group in zip(FER7.names, groups, strict=True) if len(group)
    ]
    expected = ["✓" if table.preds[row] == table.target[row] else "✗" for row in rows]
    assert [mark[0] for mark in marks] == expected
