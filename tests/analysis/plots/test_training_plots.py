import math
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from fer.analysis.plots.confusion import plot_confusion_matrix
from fer.analysis.plots.style import save_figure
from fer.analysis.plots.training import plot_learning_curves, plot_per_emotion
from fer.core.errors import FerError
from fer.core.labels import EMOTION_COLORS, SPACES

NAMES = ["angry", "happy", "sad", "neutral"]
HISTORY = [
    {"epoch": e, "train/loss": 2 / (e + 1), "val/loss": 2.2 / (e + 1), "train/accuracy": 0.5 + e / 50,
     "val/accuracy": 0.4 + e / 50, "val/macro_f1": 0.3 + e / 50, "val/uar": 0.35, "lr": 1e-3 / (e + 1)}
    for e in range(10)
]  # fmt: skip


@pytest.fixture(autouse=True)
def _warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def texts_of(fig: Figure) -> list[str]:
    return [text.get_text() for text in fig.findobj(lambda artist: hasattr(artist, "get_text"))]


def pixels_of(fig: Figure) -> np.ndarray:
    fig.canvas.draw()
    return np.asarray(fig.canvas.buffer_rgba())[..., :3]


def test_learning_curves_show_the_history():
    fig = plot_learning_curves(HISTORY, 7, "t")
    losses, scores, rates = fig.axes
    assert losses.lines[1].get_ydata().tolist() == [row["val/loss"] for row in HISTORY]
    assert scores.lines[2].get_ydata().tolist() == [row["val/macro_f1"] for row in HISTORY]
    assert rates.lines[0].get_ydata().tolist() == [row["lr"] for row in HISTORY]
    assert "best epoch 7  ·  val accuracy 54.0 %  ·  macro-F1 44.0 %  ·  UAR 35.0 %" in texts_of(fig)


def test_best_epoch_is_marked_in_every_panel_or_in_none():
    for ax in plot_learning_curves(HISTORY, 7, "t").axes:
        assert list(ax.lines[-1].get_xdata()) == [7, 7]
    assert "best" not in texts_of(plot_learning_curves(HISTORY, None, "t"))


def test_partial_rows_of_an_epoch_are_merged():
    history = [
        {"epoch": 0, "train/loss": 2.0},
        {"epoch": 0, "val/loss": 1.5},
        {"epoch": 1, "val/loss": math.nan},
    ]
    losses, _ = plot_learning_curves(history, None, "t").axes
    assert [line.get_xdata().tolist() for line in losses.lines] == [[0], [0]]
    assert {line.get_marker() for line in losses.lines} == {"o"}


def test_line_names_do_not_overlap():
    history = [
        {"epoch": e, "train/accuracy": 0.6, "val/accuracy": 0.6, "val/macro_f1": 0.6} for e in range(3)
    ]
    fig = plot_learning_curves(history, None, "t")
    fig.canvas.draw()
    boxes = [text.get_window_extent() for text in fig.axes[1].texts]
    assert len(boxes) == 3
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


@pytest.mark.parametrize(
    "history",
    [[], [{}], HISTORY[:1], [{"epoch": 0, "val/loss": math.inf, "lr": 0.0}], [{"val/loss": 1.0}] * 3],
)
@pytest.mark.parametrize("best_epoch", [None, 0])
def test_edge_case_histories_render(history, best_epoch):
    assert pixels_of(plot_learning_curves(history, best_epoch, "cost in $, 50 % {x}_^")).std() > 0


def test_per_emotion_is_sorted_by_f1_with_undefined_last():
    f1 = {"sad": 0.4, "contempt": math.nan, "happy": 0.9, "angry": 0.6}
    fig = plot_per_emotion(f1, {"happy": 0.88}, {"happy": 0.92}, {"happy": 1879, "contempt": 0})
    assert [tick.get_text() for tick in fig.axes[0].get_yticklabels()] == [
        "happy",
        "angry",
        "sad",
        "contempt",
    ]
    assert {"90.0", "88.0", "92.0", "1,879", "no images"} <= set(texts_of(fig))
    bars = {round(bar.get_width(), 6): bar.get_facecolor()[:3] for bar in fig.axes[0].patches}
    assert bars == {f1[name]: to_rgb(EMOTION_COLORS[name]) for name in ("happy", "angry", "sad")}


@pytest.mark.parametrize("f1", [{}, {"happy": math.nan}, {"custom_class": 1.0}])
def test_edge_case_scores_render(f1):
    assert pixels_of(plot_per_emotion(f1, {}, {}, {})).std() > 0


def test_per_emotion_table_is_inside_the_figure():
    scores = dict.fromkeys(EMOTION_COLORS, 1.0)
    fig = plot_per_emotion(scores, scores, scores, dict.fromkeys(scores, 28_709))
    fig.canvas.draw()
    assert all(text.get_window_extent().x1 <= fig.bbox.x1 for text in fig.axes[0].texts)


def test_every_emotion_has_a_distinct_color():
    assert {name for space in SPACES.values() for name in space.names} == set(EMOTION_COLORS)
    assert len(set(EMOTION_COLORS.values())) == len(EMOTION_COLORS)


def test_save_creates_the_folder_and_one_complete_png(tmp_path):
    path = tmp_path / "new" / "plots" / "curves.png"
    save_figure(plot_learning_curves(HISTORY, 7, "t"), path)
    assert cv2.imread(str(path)).shape == (920, 2000, 3)
    assert list(path.parent.iterdir()) == [path]


def test_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "curves.png"
    path.write_bytes(b"old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(FerError, match="disk full"):
        save_figure(plot_confusion_matrix(np.eye(2, dtype=int), ["sad", "happy"], "t"), path)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


def test_save_into_a_file_is_an_error(tmp_path):
    (tmp_path / "plots").write_text("a file, not a folder")
    with pytest.raises(FerError, match="cannot be written"):
        save_figure(plot_per_emotion({}, {}, {}, {}), tmp_path / "plots" / "a.png")


@pytest.mark.slow
def test_threads_render_the_same_as_one_thread(tmp_path):
    def draw(i: int) -> bytes:
        path = tmp_path / f"{i}.png"
        save_figure(plot_confusion_matrix(np.eye(3, dtype=int) * (i % 2 + 1), NAMES[:3], "t"), path)
        return path.read_bytes()

    expected = [draw(0), draw(1)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(draw, range(8))) == expected * 4


def test_plots_import_neither_pyplot_nor_torch():
    code = (
        "import sys, fer.analysis.plots.training; "
        "assert not {'torch', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
