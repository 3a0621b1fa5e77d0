"""Numbers as text: 1 takes the singular, in every sentence of a report."""

from types import SimpleNamespace

import pytest

from fer.core.text import agree, aligned, counted
from fer.evaluation.sections.faces import missed_faces
from fer.evaluation.sections.protocol import _seen_images
from fer.evaluation.sections.training import diagnose


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 faces are"), (1, "1 face is"), (2, "2 faces are"), (1200, "1,200 faces are")]
)
def test_nouns_and_verbs_agree_with_the_number(number, text):
    assert f"{counted(number, 'face')} {agree(number, 'is', 'are')}" == text


def test_sentences_of_a_report_about_one_image():
    about = SimpleNamespace(
        faces={"missed": 1, "photographs": 77},
        manifest={"count": 77}, seen={"train": 1}, role="val", other_data=True,
    )  # fmt: skip
    assert list(missed_faces(about)) == [
        "No face was detected in 1 of 77 photographs; it counts as a wrong answer."
    ]
    assert list(_seen_images(about)) == [
        "1 of 77 images has the same pixels as an image that was used for training."
    ]
    row = {"epoch": 1, "train/accuracy": 0.3, "val/accuracy": 0.3, "train/loss": 1.0, "val/loss": 1.0}
    assert diagnose([row]).paragraphs == ["Only 1 epoch was validated; a diagnosis needs at least 4."]


def test_columns_are_aligned():
    rows = [("", "ms", "model"), ("one face", "1.25", "a"), ("64", "10.5", "tiny")]
    assert aligned(rows, right={1}) == ["            ms  model", "one face  1.25  a", "64        10.5  tiny"]
