"""The files of the web page, and the commands that write it."""

import json
import re
from pathlib import Path

import pytest
from tiny_bundle import write_bundle

from fer.bundle.cli import main as models_main
from fer.core.errors import FerError
from fer.core.labels import FER7, LabelSpace
from fer.data.synthetic.samples import SAMPLES
from fer.export.cli import main as export_main
from fer.web import site
from fer.web.runtime import FILES
from fer.web.site import write_page

PAGE = Path(site.__file__).parent / "page"


@pytest.fixture(autouse=True)
def detector(monkeypatch):
    monkeypatch.setattr(site, "any_size_detector", lambda file=None: b"yunet")


@pytest.fixture
def no_runtime(monkeypatch):
    """A runtime that need not be there."""
    names = [name for parts in FILES.values() for name, _ in parts.values()]
    monkeypatch.setattr("fer.web.runtime.read_runtime", lambda source: dict.fromkeys(names, b"code"))


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path / "bundle", licence={"data": "Free <data>.", "weights": "Free weights."})


def config(folder):
    return json.loads((folder / "config.json").read_text())


def test_a_page_has_model_detector_samples_and_the_card(bundle, tmp_path):
    page = tmp_path / "deep" / "page"
    write_page(bundle, page)
    content = config(page)
    assert content["labels"] == list(FER7.names)
    assert content["uncertain_below"] == bundle.card.uncertain_below
    assert content["crop"]["points"] == [list(point) for point in bundle.card.crop.points]
    assert content["model"]["url"].startswith("model.onnx?v=")
    assert (page / "model.onnx").read_bytes() == bundle.model_path.read_bytes()
    assert (page / "yunet.onnx").read_bytes() == b"yunet"
    assert len(content["samples"]) == len(SAMPLES)
    # Every file that the service worker keeps is there.
    assert [name for name in content["files"] if not (page / name).exists()] == []
    html = (page / "index.html").read_text()
    assert "Free &lt;data&gt;." in html
    assert "Free weights." in html
    assert "Do not use it to make decisions about people" in html
    assert "connect-src 'self' https://cdn.jsdelivr.net;" in html
    # Readable by a web server of another user.
    assert page.stat().st_mode & 0o055 == 0o055
    assert [path.name for path in page.parent.iterdir()] == ["page"]


def test_samples_show_emotions_that_the_model_knows(tmp_path):
    bundle = write_bundle(tmp_path / "bundle", labels=LabelSpace("three", ("happy", "sad", "calm")))
    write_page(bundle, tmp_path / "page")
    titles = [sample["title"] for sample in config(tmp_path / "page")["samples"]]
    assert titles == ["happy", "sad", "three faces"]


def test_a_page_with_the_runtime_names_no_other_host(bundle, tmp_path, no_runtime):
    write_page(bundle, tmp_path / "page", runtime=tmp_path)
    html = (tmp_path / "page" / "index.html").read_text()
    assert "connect-src 'self';" in html
    assert "://" not in json.dumps(config(tmp_path / "page"))
    links = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert links
    assert not [link for link in links if link.startswith(("/", "http"))]


def test_an_empty_folder_is_used_and_a_filled_one_is_kept(bundle, tmp_path):
    page = tmp_path / "page"
    page.mkdir()
    write_page(bundle, page)
    before = {path.name: path.stat().st_mtime_ns for path in page.iterdir()}
    with pytest.raises(
        FerError, match=r"page: expected a new or empty folder .*got config\.json, .*Empty it"
    ):
        write_page(bundle, page)
    assert {path.name: path.stat().st_mtime_ns for path in page.iterdir()} == before


def test_nothing_is_written_if_the_runtime_is_another(bundle, tmp_path):
    with pytest.raises(FerError, match="--runtime"):
        write_page(bundle, tmp_path / "page", runtime=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_file_is_no_folder(bundle, tmp_path):
    (tmp_path / "page").write_text("")
    with pytest.raises(FerError, match="expected a new folder"):
        write_page(bundle, tmp_path / "page")


def test_fer_models_web(bundle, tmp_path, capsys):
    arguments = ["web", str(bundle.folder), str(tmp_path / "page")]
    with pytest.raises(SystemExit) as exit_:
        models_main(arguments)
    assert exit_.value.code == 0
    assert "without the runtime, which it loads from cdn.jsdelivr.net" in capsys.readouterr().out
    with pytest.raises(SystemExit) as exit_:
        models_main(arguments)
    assert exit_.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_fer_export_web(bundle, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("fer.export.export.export", lambda runs, **options: bundle)
    monkeypatch.setattr("fer.export.cli._print_summary", lambda bundle: None)
    with pytest.raises(SystemExit) as exit_:
        export_main(["RUN", "--web", str(tmp_path / "page")])
    assert exit_.value.code == 0
    assert f"web page     {tmp_path / 'page'}: " in capsys.readouterr().out
    assert config(tmp_path / "page")["labels"] == list(FER7.names)


def test_fer_export_checks_the_folder_of_the_page_before_it_exports(tmp_path, capsys):
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "notes.txt").write_text("")
    with pytest.raises(SystemExit) as exit_:
        export_main(["RUN", "--web", str(tmp_path / "page")])
    assert exit_.value.code == 2
    assert "got notes.txt" in capsys.readouterr().err


def test_the_scripts_stay_small():
    code = [
        line
        for path in PAGE.glob("*.js")
        for line in path.read_text().splitlines()
        if line.strip() and not line.strip().startswith(("//", "/*", "*"))
    ]
    assert len(code) < 600
