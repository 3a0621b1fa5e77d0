import warnings

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix

from fer.analysis.plots.confusion import plot_confusion_matrix
from fer.core.errors import FerError

NAMES = ["angry", "happy", "sad", "neutral"]


@pytest.fixture(autouse=True)
def _warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def cell_texts(fig: Figure) -> dict[tuple[int, int], list[str]]:
    cells: dict[tuple[int, int], list[str]] = {}
    for text in fig.axes[0].texts:
        column, row = text.get_position()
        cells.setdefault((int(row), int(column)), []).append(text.get_text())
    return cells


def test_cells_match_sklearn_row_percentages():
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 4, 500), rng.integers(0, 4, 500)
    counts = confusion_matrix(true, predicted)
    fractions = confusion_matrix(true, predicted, normalize="true")
    cells = cell_texts(plot_confusion_matrix(counts, NAMES, "t"))
    assert cells == {ij: [f"{100 * fractions[ij]:.0f} %", str(counts[ij])] for ij in np.ndindex(4, 4)}


def test_cells_match_sklearn_column_percentages():
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 4, 500), rng.integers(0, 4, 500)
    counts, fractions = confusion_matrix(true, predicted), confusion_matrix(true, predicted, normalize="pred")
    fig = plot_confusion_matrix(counts, NAMES, "t", normalize="predicted")
    assert cell_texts(fig) == {
        ij: [f"{100 * fractions[ij]:.0f} %", str(counts[ij])] for ij in np.ndindex(4, 4)
    }
    labels = [tick.get_text() for tick in fig.axes[0].get_xticklabels()]
    assert labels == [f"{name}\n{n}" for name, n in zip(NAMES, np.bincount(predicted), strict=True)]


def test_column_of_an_emotion_never_predicted_has_no_percentages():
    fig = plot_confusion_matrix(np.array([[3, 0], [2, 0]]), ["sad", "contempt"], "t", normalize="predicted")
    assert cell_texts(fig)[0, 1][0] == cell_texts(fig)[1, 1][0] == "n/a"
    assert fig.axes[0].get_xticklabels()[1].get_text() == "contempt\nno images"


def test_rows_are_true_and_columns_predicted():
    counts = np.array([[8, 2], [0, 1000]])
    ax = plot_confusion_matrix(counts, ["sad", "happy"], "t").axes[0]
    assert "true" in ax.get_ylabel()
    assert "predicted" in ax.get_xlabel()
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["sad\n10", "happy\n1,000"]
    assert cell_texts(ax.figure)[0, 1] == ["20 %", "2"]


def test_percentages_are_0_or_100_only_where_exact():
    cells = cell_texts(plot_confusion_matrix(np.array([[999, 1], [0, 5]]), ["sad", "happy"], "t"))
    assert [cells[0, 0][0], cells[0, 1][0], cells[1, 0][0], cells[1, 1][0]] == [
        ">99 %",
        "<1 %",
        "0 %",
        "100 %",
    ]


def test_emotion_without_images_is_not_0_percent():
    fig = plot_confusion_matrix(np.array([[3, 1], [0, 0]]), ["sad", "contempt"], "t")
    assert cell_texts(fig)[1, 0][0] == cell_texts(fig)[1, 1][0] == "n/a"
    assert fig.axes[0].get_yticklabels()[1].get_text() == "contempt\nno images"


@pytest.mark.parametrize("normalize", ["true", "predicted"])
def test_text_in_every_cell_has_contrast(normalize):
    counts = np.diag([100, 70, 40, 10]) + np.fliplr(np.diag([0, 30, 60, 90]))
    ax = plot_confusion_matrix(counts, NAMES, "t", normalize).axes[0]
    image = ax.images[0].get_array()
    for text in ax.texts:
        column, row = text.get_position()
        assert contrast(to_rgb(text.get_color()), image[int(row), int(column)]) >= 4.5


def contrast(first, second) -> float:
    """Return the WCAG 2.2 contrast ratio of two sRGB colours."""
    luminance = []
    for color in (first, second):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
        luminance.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(luminance) + 0.05) / (min(luminance) + 0.05)


@pytest.mark.parametrize(("shape", "names"), [((3, 3), NAMES), ((4, 3), NAMES), ((0, 0), [])])
def test_counts_that_do_not_match_the_names_are_rejected(shape, names):
    with pytest.raises(FerError, match="expected counts of shape"):
        plot_confusion_matrix(np.zeros(shape, int), names, "t")
