"""predictions.npz: round trip, and rejection of damaged and foreign files."""

import numpy as np
import pytest

from fer.analysis.about import About
from fer.analysis.predictions import Predictions
from fer.core.errors import FerError
from fer.core.labels import FER7


def make_predictions(n=5, votes=True, **about):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(n, 7)).astype(np.float32)
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return Predictions(
        FER7, np.arange(n) + 3, rng.integers(0, 7, n), logits, probs,
        probs[::-1].copy() if votes else None, np.array([f"ß/row {i}.png" for i in range(n)]), About(**about),
    )  # fmt: skip


@pytest.mark.parametrize("votes", [True, False])
def test_round_trip(votes, tmp_path):
    table = make_predictions(votes=votes, run="a", manifest={"count": 5}, tta=None)
    table.save(tmp_path / "new" / "predictions.npz")
    loaded = Predictions.load(tmp_path / "new" / "predictions.npz")
    assert loaded.labels == table.labels
    assert loaded.about == table.about
    for name in ("index", "target", "logits", "probs", "source"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(table, name), strict=True)
    assert loaded.votes is None if not votes else (loaded.votes == table.votes).all()


def test_readable_with_numpy_alone(tmp_path):
    make_predictions().save(tmp_path / "p.npz")
    with np.load(tmp_path / "p.npz") as content:
        np.testing.assert_allclose(content["probs"].sum(1), 1, rtol=1e-6)


def test_preds_are_the_most_probable_emotions():
    table = make_predictions(50)
    assert [int(i) for i in table.preds] == [max(range(7), key=row.__getitem__) for row in table.probs]
    assert len(table) == 50


def _truncated(path):
    make_predictions().save(path)
    path.write_bytes(path.read_bytes()[:-300])


def _wrong_shape(path):
    table = make_predictions()
    np.savez(path, labels='{"name": "fer7", "names": ["a", "b"]}', about="{}", index=table.index,
             target=table.target, logits=table.logits, probs=table.probs, source=table.source)  # fmt: skip


BAD = {
    "truncated": _truncated,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("accuracy,0.6\n"),
    "an array": lambda path: np.save(path.open("wb"), np.arange(3)),
    "other arrays": lambda path: np.savez(path.open("wb"), a=np.arange(3)),
    "objects": lambda path: np.savez(path.open("wb"), index=np.array([{}, {}], object)),
    "another label space": _wrong_shape,
}


@pytest.mark.parametrize("case", BAD)
def test_foreign_files_are_rejected(case, tmp_path):
    path = tmp_path / "p.npz"
    BAD[case](path)
    with pytest.raises(FerError) as caught:
        Predictions.load(path)
    assert "fer" in str(caught.value) or "label space" in str(caught.value)


def test_missing_file_is_an_error(tmp_path):
    with pytest.raises(FerError, match="expected a file, got none"):
        Predictions.load(tmp_path / "p.npz")


def test_missing_columns_are_rejected(tmp_path):
    table = make_predictions()
    Predictions(**{**vars(table), "probs": table.probs[:, :6]}).save(tmp_path / "p.npz")
    with pytest.raises(FerError, match=r"expected probs of shape \(5, 7\)"):
        Predictions.load(tmp_path / "p.npz")


def test_a_damaged_byte_is_an_error_or_harmless(tmp_path):
    intact = tmp_path / "intact.npz"
    make_predictions().save(intact)
    content = intact.read_bytes()
    for position in np.random.default_rng(0).integers(0, len(content), 150):
        damaged = bytearray(content)
        damaged[position] ^= 0x55
        (tmp_path / "damaged.npz").write_bytes(damaged)
        try:
            Predictions.load(tmp_path / "damaged.npz")
        except FerError:
            continue
