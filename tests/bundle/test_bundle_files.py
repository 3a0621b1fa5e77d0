"""Bundles: what is altered, missing or half is refused; what is written is whole."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from written_bundle import write_bundle

from fer.bundle.files import CARD, FILES, MODEL, README, draft, read_bundle
from fer.bundle.find import ZOO, find_bundle
from fer.bundle.registry import Registry
from fer.errors import FerError


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path / "bundle")


def test_a_bundle_reads_back(bundle):
    assert {path.name for path in bundle.folder.iterdir()} == FILES
    assert read_bundle(bundle.folder) == bundle
    assert read_bundle(str(bundle.folder)).card.labels.names[3] == "happy"


@pytest.mark.parametrize("at", [0, 100, -1])
def test_one_altered_byte_is_noticed(bundle, at):
    content = bytearray(bundle.model_path.read_bytes())
    content[at] ^= 1
    bundle.model_path.write_bytes(content)
    with pytest.raises(FerError, match="SHA-256"):
        read_bundle(bundle.folder)


def test_a_model_that_was_cut_off_is_noticed(bundle):
    bundle.model_path.write_bytes(bundle.model_path.read_bytes()[:-10])
    with pytest.raises(FerError, match="changed or cut off"):
        read_bundle(bundle.folder)


@pytest.mark.parametrize(("name", "said"), [(MODEL, "model is missing"), (CARD, "expected a bundle")])
def test_a_missing_file_is_named(bundle, name, said):
    (bundle.folder / name).unlink()
    with pytest.raises(FerError, match=said):
        read_bundle(bundle.folder)


def test_people_may_lose_the_readme(bundle):
    (bundle.folder / README).unlink()
    assert read_bundle(bundle.folder).card == bundle.card


def test_a_folder_that_is_not_there_says_what_writes_one(tmp_path):
    with pytest.raises(FerError, match="fer-export RUN"):
        read_bundle(tmp_path / "nowhere")


def write_three(folder, text):
    for name in FILES:
        (folder / name).write_text(text)


def texts(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_draft_takes_the_place_of_an_earlier_bundle(tmp_path):
    for text in ("first", "second"):
        with draft(tmp_path / "bundle") as folder:
            write_three(folder, text)
            if text == "second":
                assert texts(tmp_path / "bundle") == dict.fromkeys(FILES, "first")
    assert texts(tmp_path / "bundle") == dict.fromkeys(FILES, "second")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_an_error_leaves_the_earlier_bundle_and_no_draft(tmp_path):
    with draft(tmp_path / "bundle") as folder:
        write_three(folder, "first")

    def fail():
        with draft(tmp_path / "bundle") as folder:
            write_three(folder, "second")
            raise FerError("no")

    with pytest.raises(FerError):
        fail()
    assert texts(tmp_path / "bundle") == dict.fromkeys(FILES, "first")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize("failing", [{"bundle"}, {"bundle", "earlier"}])
def test_an_earlier_bundle_outlives_a_disk_that_refuses_to_move_folders(tmp_path, monkeypatch, failing):
    """The new bundle cannot take its place; in the second case the earlier one cannot come back, either."""
    target, rename = tmp_path / "bundle", Path.rename
    with draft(target) as folder:
        write_three(folder, "first")

    def refuse(path, to):
        if path.name in failing and to == target:
            raise OSError(5, "Input/output error")
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(FerError, match="Input/output error") as told, draft(target) as folder:
        write_three(folder, "second")
    kept = next(tmp_path.glob(".bundle-*/earlier")) if "earlier" in failing else target
    assert texts(kept) == dict.fromkeys(FILES, "first")
    assert ("is kept in" in str(told.value)) == ("earlier" in failing)
    assert ("earlier" not in failing) or str(kept) in str(told.value)


def test_another_writer_may_be_faster(tmp_path, monkeypatch):
    """A bundle stands there, so nothing has to be moved back by hand."""
    target, rename = tmp_path / "bundle", Path.rename
    with draft(target) as folder:
        write_three(folder, "first")

    def overtaken(path, to):
        if path.name == "bundle" and to == target:
            target.mkdir()
            write_three(target, "other")
            raise OSError(39, "Directory not empty")
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", overtaken)
    with pytest.raises(FerError, match=r"Directory not empty\). Try again\.$"), draft(target) as folder:
        write_three(folder, "second")
    assert texts(target) == dict.fromkeys(FILES, "other")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_what_is_said_to_be_kept_is_kept(tmp_path, monkeypatch):
    """Another writer comes just after the earlier bundle could not be moved back."""
    target, rename = tmp_path / "bundle", Path.rename
    with draft(target) as folder:
        write_three(folder, "first")

    def refuse(path, to):
        if to == target:
            raise OSError(5, "Input/output error")
        return rename(path, to)

    def late(aside, to):
        to.mkdir()
        return False

    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr("fer.bundle.files._put_back", late)
    with pytest.raises(FerError, match="is kept in") as told, draft(target) as folder:
        write_three(folder, "second")
    (kept,) = tmp_path.glob(".bundle-*/earlier")
    assert str(kept) in str(told.value)
    assert texts(kept) == dict.fromkeys(FILES, "first")


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_no_bundle_is_never_replaced(tmp_path, kind):
    target = tmp_path / "thesis"
    if kind == "file":
        target.write_text("years of work")
    else:
        target.mkdir()
        (target / "chapter.txt").write_text("years of work")
    with pytest.raises(FerError, match="Choose another folder"), draft(target) as folder:
        write_three(folder, "bundle")
    assert "years of work" in (target if kind == "file" else target / "chapter.txt").read_text()


def test_a_killed_writer_leaves_no_half_bundle(bundle, tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from fer.bundle.files import draft\n"
        "with draft(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'model.onnx').write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    for target in (bundle.folder, tmp_path / "fresh"):
        died = subprocess.run([sys.executable, "-c", code, str(target)], env=dict(os.environ))
        assert died.returncode == -signal.SIGKILL
    assert read_bundle(bundle.folder) == bundle
    assert not (tmp_path / "fresh").exists()


def test_the_card_is_plain_json(bundle):
    card = json.loads((bundle.folder / CARD).read_text())
    assert card["labels"]["names"][0] == "angry"
    assert card["crop"]["points"][0] == [0.3, 0.4]


def test_the_folder_one_is_in_gives_way_to_no_bundle(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FerError, match="expected another folder than the one you are in"), draft(Path()):
        pass
    assert not list(tmp_path.parent.glob(f".{tmp_path.name}-*"))


def test_a_model_of_ones_own_goes_before_the_packages(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_bundle("fer2013").folder == ZOO / "fer2013"
    (tmp_path / "fer2013").mkdir()  # data, say
    assert find_bundle("fer2013").folder == ZOO / "fer2013"
    Registry(tmp_path / "models").register(write_bundle(tmp_path / "bundle", name="fer2013"))
    assert find_bundle("fer2013").folder.resolve() == tmp_path / "models" / "fer2013" / "1"
    assert find_bundle("bundle").card.name == "fer2013"
    (tmp_path / "empty").mkdir()
    with pytest.raises(FerError, match="expected a bundle"):
        find_bundle("empty")


def test_an_older_card_does_not_say_how_to_resize(bundle):
    path = bundle.folder / CARD
    content = json.loads(path.read_text())
    assert content["crop"].pop("resize")["smaller"] == "mean over areas"
    path.write_text(json.dumps(content))
    assert read_bundle(bundle.folder) == bundle
