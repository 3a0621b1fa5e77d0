import base64
import io
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from example_sections import HOSTILE, about, chart, photograph, sections
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fer.analysis import report as report_package
from fer.analysis.report import write_report
from fer.analysis.report.document import Plot, Section, Table, format_columns
from fer.analysis.report.html import inline_images, page_environment
from fer.analysis.report.write import to_json_values

VOID = {"meta", "img"}


class Reader(HTMLParser):
    """Collects elements, attributes and text, and fails if an element is not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.text = [], [], ""
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        assert len(dict(attributes)) == len(attributes)
        if name not in VOID:
            self.open.append(name)

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, data):
        self.text += "" if self.open and self.open[-1] == "style" else data

    def all(self, *names):
        return [attributes for name, attributes in self.elements if name in names]

    def shape(self):
        return [(name, sorted(attributes)) for name, attributes in self.elements]


def report(folder, label="happy"):
    write_report(folder, sections(label), f"Report of {label}", about(label))
    return (folder / "index.html").read_text(), (folder / "report.md").read_text()


@pytest.fixture(scope="module")
def benign(tmp_path_factory):
    return Reader(report(tmp_path_factory.mktemp("report"))[0])


def test_page_makes_no_network_requests(benign):
    sources = [a[key] for _, a in benign.elements for key in ("src", "href", "srcset", "data") if key in a]
    assert len(sources) > 4
    assert all(re.match(r"data:image/(png|webp);base64,|#\w", source) for source in sources)
    css = Path(report_package.__file__).with_name("style.css").read_text()
    assert "url(" not in css
    assert "@import" not in css
    assert not benign.all("script", "link", "iframe", "object", "base")


def test_page_is_accessible_to_screen_readers(benign):
    assert benign.all("html") == [{"lang": "en"}]
    assert all(image["alt"].strip() for image in benign.all("img"))
    assert all(head["scope"] in ("col", "row") for head in benign.all("th"))
    levels = [int(name[1]) for name, _ in benign.elements if re.fullmatch("h[1-6]", name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_contents_link_to_sections_and_ids_are_unique(benign):
    ids = [attributes["id"] for _, attributes in benign.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [link["href"][1:] for link in benign.all("a")]
    assert links == ["protocol", "scores", "empty", "faces", "about"]
    assert set(links) <= set(ids)


def test_page_starts_with_warning_headline_metrics_and_split(benign):
    start = benign.text[: benign.text.index("Contents")]
    assert "58.9 %" in start
    assert "95 % interval 57.3 to 60.5 %" in start
    assert "n = 3,589 images" in start
    assert "test, scored twice" in start
    assert "no image of happy" in start
    assert "Warning" in start
    assert start.index("Warning") < start.index("58.9 %")


@pytest.mark.parametrize("label", HOSTILE)
def test_hostile_names_are_escaped(tmp_path, benign, label):
    html, text = report(tmp_path, label)
    page = Reader(html)
    assert page.shape() == benign.shape()
    expected = re.sub(r"[\x00-\x08\x0e-\x1f\ud800-\udfff]", "�", label)
    assert page.text.count(expected) > 5
    assert "\x00" not in html
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {15, 3}
    assert not re.search(r"(?<!\\)[<`]", text)
    assert label in json.loads((tmp_path / "metrics.json").read_text())["faces"]


@given(st.text())
def test_text_cannot_create_an_element(string):
    template = page_environment().from_string('<p title="{{ text }}">{{ text }}</p>')
    page = Reader(template.render(text=string))
    assert page.shape() == [("p", ["title"])]
    clean = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", "�", string)
    assert page.text == clean
    assert page.all("p")[0]["title"] == clean


def refuse(constant):
    raise AssertionError(f"{constant} is not valid JSON")


def test_numbers_are_written_to_json_without_nan(tmp_path):
    report(tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text(), parse_constant=refuse)
    expected = {"value": 0.589, "low": 0.573, "high": 0.605, "n": 3589, "note": ""}
    assert metrics["scores"]["accuracy"] == expected
    assert metrics["scores"]["uar"]["value"] is None
    assert metrics["scores"]["uar"]["note"] == "no image of happy"
    assert metrics["about"]["manifest"] == {"n": 1}


def test_numpy_values_become_json_values():
    content = {
        1: np.array([1.0, np.nan]),
        "n": np.int64(3),
        "worst": float("-inf"),
        "pair": (np.float32(0.5), True),
    }
    assert to_json_values(content) == {"1": [1.0, None], "n": 3, "worst": None, "pair": [0.5, True]}
    undefined = {"value": float("nan"), "note": ""}
    assert to_json_values(undefined) == {"value": None, "note": "not a finite number"}
    with pytest.raises(TypeError, match="set"):
        to_json_values({"x": {1}})


def test_same_report_has_the_same_bytes(tmp_path):
    assert report(tmp_path / "a") == report(tmp_path / "b")


def test_failure_keeps_the_earlier_report(tmp_path, monkeypatch):
    before = report(tmp_path)
    broken = [Section("x", "X", plots=[Plot("p", chart()[:500], "cut off")])]
    with pytest.raises(OSError, match=r"truncated|cannot identify"):
        write_report(tmp_path, broken, "t", {})
    assert before == tuple((tmp_path / name).read_text() for name in ("index.html", "report.md"))
    assert len(list(tmp_path.iterdir())) == 3


def test_page_of_many_photographs_stays_below_5_mb(tmp_path):
    plots = [Plot(f"p{i}", photograph(1900, 1000, i), "noise") for i in range(2)]
    path = write_report(tmp_path, [Section("x", "X", plots=plots)], "t", {})
    assert 500_000 < path.stat().st_size < 5_000_000


def test_chart_keeps_its_colours_and_size_in_inches():
    (image,) = inline_images([Plot("p", chart(), "bars")])
    assert (image.width, image.height) == (768, 336)  # 8 by 3.5 inches
    decoded = Image.open(io.BytesIO(base64.b64decode(image.data_uri.split(",")[1]))).convert("RGB")
    assert np.array_equal(decoded, Image.open(io.BytesIO(chart())))


COLUMNS = [
    ([0.7192, 0.01599, None], ["0.719", "0.016", "–"], True),
    ([1234.5678, -12.0, float("nan")], ["1,235", "−12", "–"], True),
    ([0.00004, 0.5, 0.0], ["4e−05", "0.500", "0.000"], True),
    ([float("inf"), -3, 12345], ["∞", "−3", "12,345"], True),
    (["58.9 %", "57.3 to 60.5 %", "58.9 [57.3, 60.5]"], None, True),
    (["< 0.001", "12 ms", "n/a"], None, True),
    (["58.9 %", "47.1 %", "no image"], None, True),
    (["row 12", "0.5"], None, False),
    (["12 images are wrong"], None, False),
    ([], [], False),
    ([None], ["–"], False),
]


@pytest.mark.parametrize(("cells", "formatted", "numeric"), COLUMNS)
def test_columns(cells, formatted, numeric):
    (column,) = format_columns(Table(("x",), [(cell,) for cell in cells]))
    assert column.cells == (cells if formatted is None else formatted)
    assert column.numeric == numeric
