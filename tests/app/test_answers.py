"""Answers on a page and to take home: bars, table, CSV, JSON, ZIP."""

import csv
import io
import json
import zipfile
from html.parser import HTMLParser

import numpy as np
import pytest
from colour_bundle import PatchDetector, patches, write_bundle
from PIL import Image

from fer.app.judging import judge
from fer.app.limits import SHOWN_SIDE
from fer.app.parts.bars import bars_html, percent
from fer.app.parts.downloads import table, to_csv, to_json, to_zip
from fer.predict import Predictor

RED, GREEN, MUD = (255, 0, 0), (0, 255, 0), (120, 120, 120)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return Predictor(write_bundle(tmp_path_factory.mktemp("model") / "m"), PatchDetector(), threads=1)


def test_of_a_crowd_the_largest_faces_are_judged(predictor, monkeypatch):
    monkeypatch.setattr("fer.app.judging.MAX_CROWD", 2)
    judged = judge("many.png", patches(RED, GREEN, RED), predictor)
    assert (len(judged.predictions), judged.left_out) == (2, 1)


class Words(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.words.append(data)


def test_bars_are_sorted_named_and_marked():
    page = Words(bars_html({"sad": 0.2, "happy": 0.797, "fear": 0.003}))
    assert page.words[1:] == ["happy", "80 %", "✓", "sad", "20 %", "fear", "<1 %"]
    assert "?" in Words(bars_html({"sad": 0.4, "happy": 0.6}, uncertain=True)).words


def test_an_emotion_of_ones_own_is_no_markup():
    page = Words(bars_html({"<script>alert(1)</script>": 1.0}))
    assert "script" not in page.tags
    assert "<script>alert(1)</script>" in page.words


@pytest.mark.parametrize(("share", "text"), [(0, "0 %"), (0.004, "<1 %"), (0.999, "99 %"), (1, "100 %")])
def test_percent_never_claims_certainty(share, text):
    assert percent(share) == text


def test_faces_are_counted_from_left_to_right(predictor):
    judged = judge("two.png", patches(RED, None, GREEN), predictor)
    assert [answer.label for answer in judged.predictions] == ["angry", "disgust"]
    assert [tuple(cut[4, 4]) for cut in judged.cuts] == [RED, GREEN]


def test_of_a_large_picture_a_small_one_is_kept_with_its_faces_in_place(predictor):
    picture = np.full((32, 4 * SHOWN_SIDE, 3), 255, np.uint8)
    picture[:, 2048:2080] = RED
    judged = judge("wide.png", picture, predictor)
    assert judged.shown.shape[1] == SHOWN_SIDE
    assert judged.shown.base is None  # holds on to nothing large
    assert judged.predictions[0].face.box == (2048, 0, 32, 32)
    assert judged.shown_predictions[0].face.box == pytest.approx((512, 0, 8, 8))
    assert judged.size == (5120, 32)


def test_the_table_has_a_row_a_face(predictor):
    judged = [judge("a.png", patches(RED, MUD), predictor), judge("none.png", patches(None), predictor)]
    rows = list(csv.DictReader(io.StringIO(to_csv(table(judged)))))
    assert [(row["picture"], row["face"], row["emotion"]) for row in rows] == [
        ("a.png", "1", "angry"),
        ("a.png", "2", judged[0].predictions[1].label),
    ]
    assert float(rows[0]["angry"]) == pytest.approx(judged[0].predictions[0].confidence, abs=1e-6)
    assert float(rows[1]["left"]) == 32
    assert [row["uncertain"] for row in rows] == [str(answer.uncertain) for answer in judged[0].predictions]


def test_a_name_is_no_formula(predictor):
    judged = [judge("=1+1.png", patches(RED), predictor)]
    (row,) = csv.DictReader(io.StringIO(to_csv(table(judged))))
    assert row["picture"] == "'=1+1.png"


def test_json_is_what_fer_predict_writes(predictor):
    judged = judge("a.png", patches(RED), predictor)
    (entry,) = json.loads(to_json([judged], predictor))
    assert entry["file"] == "a.png"
    assert entry["size"] == [32, 32]
    assert entry["model"] == "colours:3"
    assert entry["faces"] == [judged.predictions[0].to_dict()]


def test_the_zip_holds_each_picture_once_and_none_outside(predictor):
    names = ("a.png", "A.jpg", "../a.png", "b/../../c.png")
    content = to_zip([judge(name, patches(RED, GREEN), predictor) for name in names])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == ["a.jpg", "A_2.jpg", "a_3.jpg", "c.jpg"]
        with Image.open(archive.open("c.jpg")) as picture:
            assert picture.size == (64, 32)
