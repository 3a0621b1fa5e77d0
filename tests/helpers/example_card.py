"""Model cards with chosen metrics, for tests of the pages that show them."""

from fer.bundle.card import Card, CropRule
from fer.core.labels import FER7

RULE = CropRule("drawn", (), False, 1.0, 0.0)
HASHES = {"pixels_sha256": "a" * 64, "labels_sha256": "b" * 64}
MATRIX = [[40 if row == column else row for column in range(7)] for row in range(7)]


def estimate(value, half_width=0.02):
    return {"value": value, "low": value - half_width, "high": value + half_width}


def split(accuracy=0.6, hashes=HASHES, selection=True, confusion=MATRIX, **figures):
    by_emotion = {
        f"{key}/{name}": estimate(0.3 + 0.08 * position)
        for key in ("precision", "recall", "f1") for position, name in enumerate(FER7.names)
    }  # fmt: skip
    figures = {"accuracy": estimate(accuracy), **by_emotion, **figures}
    part = {"split": "PublicTest", "n": 3589, "selection_split": selection, "source": "model.onnx",
            "manifest": dict(hashes), "figures": figures}  # fmt: skip
    return part | ({"confusion": confusion} if confusion else {})


def card(name="tiny", version=1, metrics=None, **fields):
    content = {
        "name": name, "version": version, "labels": FER7, "image_size": 48, "crop": RULE, "temperature": 1.0,
        "abstain_below": None, "attention": False, "precision": "int8",
        "model": {"file": "model.onnx", "sha256": f"{version:064d}", "bytes": 413959, "parameters": 386455,
                  "architecture": "fast_cnn"},
        "metrics": {"val": split()} if metrics is None else metrics, "training": {"data": "fer2013"},
        "export": {}, "licence": {"data": "For research.", "weights": "For research."},
        "created": "2026-11-23T01:37:15+00:00",
    }  # fmt: skip
    return Card(**content | fields)
