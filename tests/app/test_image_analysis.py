"""Predictions on an image: analysis, probability bars, table, CSV, JSON and ZIP downloads."""

import csv
import io
import json
import re
import zipfile
from html.parser import HTMLParser

import numpy as np
import pytest
from color_bundle import PatchDetector, patches, write_bundle
from PIL import Image

from fer.app.components.downloads import result_rows, to_csv, to_json, to_zip
from fer.app.components.html import format_percent, parts
from fer.app.image import analyse_image
from fer.app.settings import MAX_DISPLAY_SIDE
from fer.core.labels import emotion_colors
from fer.predict.predictor import Predictor

RED, GREEN, GREY = (255, 0, 0), (0, 255, 0), (120, 120, 120)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return Predictor(write_bundle(tmp_path_factory.mktemp("model") / "m"), PatchDetector(), threads=1)


def test_only_the_largest_faces_of_a_crowd_are_analysed(predictor, monkeypatch):
    monkeypatch.setattr("fer.app.image.MAX_FACES_PER_IMAGE", 2)
    analysis = analyse_image("many.png", patches(RED, GREEN, RED), predictor)
    assert (len(analysis.predictions), analysis.num_skipped) == (2, 1)


class ParsedPage(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.texts.append(data)


def test_the_first_bar_is_marked():
    page = ParsedPage(parts.bars([("happy", 0.797), ("sad", 0.2), ("fear", 0.003)], "✓"))
    assert [text for text in page.texts if text.strip()][1:] == [
        "happy",
        "80 %",
        "✓",
        "sad",
        "20 %",
        "fear",
        "<1 %",
    ]


def test_merged_emotions_have_colors_of_their_own():
    html = parts.bars([("positive", 0.7), ("negative", 0.2), ("neutral", 0.1)], "✓")
    colors = re.findall(r"background:(#[0-9a-f]{6})", html)
    assert colors == list(emotion_colors(("positive", "negative", "neutral")).values())
    assert len(set(colors)) == 3


def test_emotion_names_are_escaped():
    page = ParsedPage(parts.bars([("<script>alert(1)</script>", 1.0)], "?"))
    assert "script" not in page.tags
    assert "<script>alert(1)</script>" in page.texts


@pytest.mark.parametrize(("fraction", "text"), [(0, "0 %"), (0.004, "<1 %"), (0.999, "99 %"), (1, "100 %")])
def test_rounding_gives_neither_0_nor_100_percent(fraction, text):
    assert format_percent(fraction) == text


def test_faces_are_numbered_from_left_to_right(predictor):
    analysis = analyse_image("two.png", patches(RED, None, GREEN), predictor)
    assert [prediction.label for prediction in analysis.predictions] == ["angry", "disgust"]
    assert [tuple(crop[4, 4]) for crop in analysis.crops] == [RED, GREEN]


def test_a_large_image_is_reduced_for_display_and_its_boxes_are_scaled(predictor):
    image = np.full((32, 4 * MAX_DISPLAY_SIDE, 3), 255, np.uint8)
    image[:, 2048:2080] = RED
    analysis = analyse_image("wide.png", image, predictor)
    assert analysis.display_image.shape[1] == MAX_DISPLAY_SIDE
    # A copy: a view would keep the large image in memory.
    assert analysis.display_image.base is None
    assert analysis.predictions[0].face.box == (2048, 0, 32, 32)
    assert analysis.display_predictions[0].face.box == pytest.approx((512, 0, 8, 8))
    assert analysis.size == (5120, 32)


def test_the_table_has_a_row_per_face(predictor):
    results = [
        analyse_image("a.png", patches(RED, GREY), predictor),
        analyse_image("none.png", patches(None), predictor),
    ]
    rows = list(csv.DictReader(io.StringIO(to_csv(result_rows(results)))))
    assert [(row["picture"], row["face"], row["emotion"]) for row in rows] == [
        ("a.png", "1", "angry"),
        ("a.png", "2", results[0].predictions[1].label),
        ("none.png", "", ""),
    ]
    assert float(rows[0]["angry"]) == pytest.approx(results[0].predictions[0].confidence, abs=1e-6)
    assert float(rows[1]["left"]) == 32
    assert [row["uncertain"] for row in rows] == [
        *(str(prediction.uncertain) for prediction in results[0].predictions),
        "",
    ]


def test_a_file_name_is_not_a_spreadsheet_formula(predictor):
    results = [analyse_image("=1+1.png", patches(RED), predictor)]
    (row,) = csv.DictReader(io.StringIO(to_csv(result_rows(results))))
    assert row["picture"] == "'=1+1.png"


def test_json_has_the_format_of_fer_predict(predictor):
    analysis = analyse_image("a.png", patches(RED), predictor)
    (entry,) = json.loads(to_json([analysis], predictor))
    assert entry["file"] == "a.png"
    assert entry["size"] == [32, 32]
    assert entry["model"] == "colours:3"
    assert entry["faces"] == [{"face": 1, **analysis.predictions[0].to_dict()}]


def test_zip_entries_have_unique_names_without_folders(predictor):
    names = ("a.png", "A.jpg", "../a.png", "b/../../c.png")
    content = to_zip([analyse_image(name, patches(RED, GREEN), predictor) for name in names])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == ["a.jpg", "A_2.jpg", "a_3.jpg", "c.jpg"]
        with Image.open(archive.open("c.jpg")) as image:
            assert image.size == (64, 32)
