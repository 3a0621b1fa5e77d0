import io

import numpy as np
from PIL import Image

from fer.analysis.contact_sheet import Strip, plot_contact_sheet
from fer.analysis.galleries import confident_errors, section
from fer.analysis.plots import png_bytes
from fer.analysis.predictions import Predictions
from fer.labels import FER7


def noisy(n: int = 300, side: int = 48, channels: int = 1) -> tuple[Predictions, np.ndarray]:
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.full(7, 0.3), n).astype(np.float32)
    index, source = np.arange(n), np.array([f"row {i}" for i in range(n)])
    target = rng.integers(0, 7, n)
    images = rng.integers(0, 256, (n, side, side, channels), np.uint8)
    return Predictions(FER7, index, target, np.log(probs + 1e-9), probs, None, source), images


def test_confident_errors_are_those_of_a_loop():
    given, _ = noisy()
    wrong = [row for row in range(300) if given.probs[row].argmax() != given.target[row]]
    expected = sorted(wrong, key=lambda row: -given.probs[row].max())[:25]
    assert confident_errors(given).tolist() == expected


def test_sheets_are_labelled_with_truth_and_prediction(monkeypatch):
    sheets = []
    monkeypatch.setattr("fer.analysis.galleries.png_bytes", lambda fig: sheets.append(fig) or png_bytes(fig))
    given, images = noisy()
    chapter = section(given, images)
    row = confident_errors(given)[0]
    texts = [text.get_text() for text in sheets[0].axes[0].texts]
    said = given.probs[row].argmax()
    assert texts[:2] == [
        f"true {FER7.names[given.target[row]]}",
        f"said {FER7.names[said]} {shown(given, row)}",
    ]
    assert [len(Image.open(io.BytesIO(p.png)).size) for p in chapter.pictures] == [2, 2]


def shown(given, row) -> str:
    percent = 100 * float(given.probs[row].max())
    return ">99 %" if percent >= 99.5 else f"{percent:.0f} %"


def test_faces_are_on_the_sheet_pixel_by_pixel():
    images = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 1), np.uint8)
    fig = plot_contact_sheet([Strip("angry", images, [["a"], ["b"], ["c"]])], 2, "t", "s")
    fig.canvas.draw()
    picture = np.asarray(fig.canvas.buffer_rgba())[..., 0].astype(int)
    face = images[2, ..., 0].astype(int).repeat(6, 0).repeat(6, 1)
    corners = np.argwhere(picture[:-288, :-288] == face[0, 0])
    assert any(np.array_equal(picture[y : y + 288, x : x + 288], face) for y, x in corners)


def test_sheets_of_large_photographs_stay_small():
    given, images = noisy(60, side=224, channels=3)
    for picture in section(given, images).pictures:
        assert len(picture.png) < 7_000_000  # noise does not compress; the page brings photographs down
        assert max(Image.open(io.BytesIO(picture.png)).size) < 2600


def test_no_error_no_sheet():
    given, images = noisy(7)
    perfect = Predictions(FER7, given.index, np.arange(7), np.eye(7), np.eye(7), None, given.source)
    chapter = section(perfect, images)
    assert chapter.words == ["There is no error in this split."]
    assert chapter.pictures == []
