import io

import numpy as np
from PIL import Image

from fer.analysis.plots.images import ImageStrip, plot_contact_sheet
from fer.analysis.plots.style import png_bytes
from fer.analysis.predictions import Predictions
from fer.core.labels import FER7
from fer.evaluation.sections.errors import confident_errors, gallery_section


def noisy(n: int = 300, side: int = 48, channels: int = 1) -> tuple[Predictions, np.ndarray]:
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.full(7, 0.3), n).astype(np.float32)
    index, source = np.arange(n), np.array([f"row {i}" for i in range(n)])
    target = rng.integers(0, 7, n)
    images = rng.integers(0, 256, (n, side, side, channels), np.uint8)
    return Predictions(FER7, index, target, np.log(probs + 1e-9), probs, None, source), images


def test_confident_errors_match_a_loop():
    predictions, _ = noisy()
    wrong = [row for row in range(300) if predictions.probs[row].argmax() != predictions.target[row]]
    expected = sorted(wrong, key=lambda row: -predictions.probs[row].max())[:25]
    assert confident_errors(predictions).tolist() == expected


def test_contact_sheets_show_label_and_prediction(monkeypatch):
    sheets = []
    monkeypatch.setattr(
        "fer.evaluation.sections.errors.png_bytes", lambda fig: sheets.append(fig) or png_bytes(fig)
    )
    predictions, images = noisy()
    section = gallery_section(predictions, images)
    row = confident_errors(predictions)[0]
    texts = [text.get_text() for text in sheets[0].axes[0].texts]
    predicted = predictions.probs[row].argmax()
    assert texts[:2] == [
        f"true {FER7.names[predictions.target[row]]}",
        f"pred {FER7.names[predicted]} {confidence(predictions, row)}",
    ]
    assert [len(Image.open(io.BytesIO(p.png)).size) for p in section.plots] == [2, 2]


def confidence(predictions, row) -> str:
    percent = 100 * float(predictions.probs[row].max())
    return ">99 %" if percent >= 99.5 else f"{percent:.0f} %"


def test_contact_sheet_contains_the_exact_pixels():
    images = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 1), np.uint8)
    fig = plot_contact_sheet([ImageStrip("angry", images, [["a"], ["b"], ["c"]])], 2, "t", "s")
    fig.canvas.draw()
    rendered = np.asarray(fig.canvas.buffer_rgba())[..., 0].astype(int)
    face = images[2, ..., 0].astype(int).repeat(6, 0).repeat(6, 1)
    corners = np.argwhere(rendered[:-288, :-288] == face[0, 0])
    assert any(np.array_equal(rendered[y : y + 288, x : x + 288], face) for y, x in corners)


def test_contact_sheets_of_large_images_stay_small():
    predictions, images = noisy(60, side=224, channels=3)
    for plot in gallery_section(predictions, images).plots:
        assert len(plot.png) < 7_000_000  # noise does not compress; the page shrinks photographs
        assert max(Image.open(io.BytesIO(plot.png)).size) < 2600


def test_without_errors_there_is_no_contact_sheet():
    predictions, images = noisy(7)
    perfect = Predictions(
        FER7, predictions.index, np.arange(7), np.eye(7), np.eye(7), None, predictions.source
    )
    section = gallery_section(perfect, images)
    assert section.paragraphs == ["There are no errors in this split."]
    assert section.plots == []
