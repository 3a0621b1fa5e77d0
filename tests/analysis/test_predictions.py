"""predictions.npz: what is written is read, and nothing else is."""

import numpy as np
import pytest

from fer.analysis.predictions import Predictions
from fer.errors import FerError
from fer.labels import FER7


def made(n=5, votes=True, **about):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(n, 7)).astype(np.float32)
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return Predictions(
        FER7, np.arange(n) + 3, rng.integers(0, 7, n), logits, probs,
        probs[::-1].copy() if votes else None, np.array([f"ß/row {i}.png" for i in range(n)]), about,
    )  # fmt: skip


@pytest.mark.parametrize("votes", [True, False])
def test_saved_and_loaded_again(votes, tmp_path):
    table = made(votes=votes, run="a", manifest={"count": 5}, tta=None)
    table.save(tmp_path / "new" / "predictions.npz")
    again = Predictions.load(tmp_path / "new" / "predictions.npz")
    assert again.labels == table.labels
    assert again.about == table.about
    for name in ("index", "target", "logits", "probs", "source"):
        np.testing.assert_array_equal(getattr(again, name), getattr(table, name), strict=True)
    assert again.votes is None if not votes else (again.votes == table.votes).all()


def test_others_can_read_it_with_numpy_alone(tmp_path):
    made().save(tmp_path / "p.npz")
    with np.load(tmp_path / "p.npz") as content:
        np.testing.assert_allclose(content["probs"].sum(1), 1, rtol=1e-6)


def test_prediction_is_the_most_probable_emotion():
    table = made(50)
    assert [int(i) for i in table.preds] == [max(range(7), key=row.__getitem__) for row in table.probs]
    assert len(table) == 50


def _truncated(path):
    made().save(path)
    path.write_bytes(path.read_bytes()[:-300])


def _wrong_shape(path):
    table = made()
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
def test_foreign_files_are_refused(case, tmp_path):
    path = tmp_path / "p.npz"
    BAD[case](path)
    with pytest.raises(FerError) as caught:
        Predictions.load(path)
    assert "fer" in str(caught.value) or "label space" in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(FerError, match="there is no such file"):
        Predictions.load(tmp_path / "p.npz")


def test_cut_columns_are_refused(tmp_path):
    table = made()
    Predictions(**{**vars(table), "probs": table.probs[:, :6]}).save(tmp_path / "p.npz")
    with pytest.raises(FerError, match=r"expected probs of shape \(5, 7\)"):
        Predictions.load(tmp_path / "p.npz")


def test_damage_anywhere_is_told_or_harmless(tmp_path):
    whole = tmp_path / "whole.npz"
    made().save(whole)
    content = whole.read_bytes()
    for place in np.random.default_rng(0).integers(0, len(content), 150):
        damaged = bytearray(content)
        damaged[place] ^= 0x55
        (tmp_path / "damaged.npz").write_bytes(damaged)
        try:
            Predictions.load(tmp_path / "damaged.npz")
        except FerError:
            continue
