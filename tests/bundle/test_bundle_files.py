"""Bundles are checked when they are read, and written atomically."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_bundle import write_bundle

from fer.bundle.files import CARD, FILES, MODEL, README, read_bundle, staging_folder
from fer.bundle.registry import ZOO, find_bundle
from fer.core.errors import FerError


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path / "bundle")


def test_bundle_round_trip(bundle):
    assert {path.name for path in bundle.folder.iterdir()} == FILES
    assert read_bundle(bundle.folder) == bundle
    assert read_bundle(str(bundle.folder)).card.labels.names[3] == "happy"


@pytest.mark.parametrize("at", [0, 100, -1])
def test_a_changed_byte_is_an_error(bundle, at):
    content = bytearray(bundle.model_path.read_bytes())
    content[at] ^= 1
    bundle.model_path.write_bytes(content)
    with pytest.raises(FerError, match="SHA-256"):
        read_bundle(bundle.folder)


def test_a_truncated_model_is_an_error(bundle):
    bundle.model_path.write_bytes(bundle.model_path.read_bytes()[:-10])
    with pytest.raises(FerError, match="changed or truncated"):
        read_bundle(bundle.folder)


@pytest.mark.parametrize(("name", "message"), [(MODEL, "model is missing"), (CARD, "expected a bundle")])
def test_a_missing_file_is_named_in_the_error(bundle, name, message):
    (bundle.folder / name).unlink()
    with pytest.raises(FerError, match=message):
        read_bundle(bundle.folder)


def test_the_readme_is_optional(bundle):
    (bundle.folder / README).unlink()
    assert read_bundle(bundle.folder).card == bundle.card


def test_a_missing_folder_names_the_export_command(tmp_path):
    with pytest.raises(FerError, match="fer-export RUN"):
        read_bundle(tmp_path / "nowhere")


def write_files(folder, text):
    for name in FILES:
        (folder / name).write_text(text)


def texts(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_the_folder_of_a_run_names_its_bundle(tmp_path):
    write_bundle(tmp_path / "run" / "bundle")
    with pytest.raises(FerError, match=r"expected a bundle .* Use .*run/bundle\."):
        read_bundle(tmp_path / "run")


def test_a_new_bundle_replaces_the_previous_one(tmp_path):
    for text in ("first", "second"):
        with staging_folder(tmp_path / "bundle") as folder:
            write_files(folder, text)
            if text == "second":
                assert texts(tmp_path / "bundle") == dict.fromkeys(FILES, "first")
    assert texts(tmp_path / "bundle") == dict.fromkeys(FILES, "second")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_an_error_keeps_the_previous_bundle_and_removes_the_staging_folder(tmp_path):
    with staging_folder(tmp_path / "bundle") as folder:
        write_files(folder, "first")

    def fail():
        with staging_folder(tmp_path / "bundle") as folder:
            write_files(folder, "second")
            raise FerError("no")

    with pytest.raises(FerError):
        fail()
    assert texts(tmp_path / "bundle") == dict.fromkeys(FILES, "first")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize("failing", [{"bundle"}, {"bundle", "earlier"}])
def test_the_previous_bundle_survives_failing_renames(tmp_path, monkeypatch, failing):
    """The new bundle cannot be moved into place; in the second case the previous one cannot be restored."""
    target, rename = tmp_path / "bundle", Path.rename
    with staging_folder(target) as folder:
        write_files(folder, "first")

    def refuse(path, to):
        if path.name in failing and to == target:
            raise OSError(5, "Input/output error")
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(FerError, match="Input/output error") as raised, staging_folder(target) as folder:
        write_files(folder, "second")
    backup = next(tmp_path.glob(".bundle-*/earlier")) if "earlier" in failing else target
    assert texts(backup) == dict.fromkeys(FILES, "first")
    assert ("is kept in" in str(raised.value)) == ("earlier" in failing)
    assert ("earlier" not in failing) or str(backup) in str(raised.value)


def test_another_process_may_write_the_target_first(tmp_path, monkeypatch):
    """There is a bundle then, so nothing has to be restored by hand."""
    target, rename = tmp_path / "bundle", Path.rename
    with staging_folder(target) as folder:
        write_files(folder, "first")

    def write_first(path, to):
        if path.name == "bundle" and to == target:
            target.mkdir()
            write_files(target, "other")
            raise OSError(39, "Directory not empty")
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", write_first)
    with (
        pytest.raises(FerError, match=r"Directory not empty\). Try again\.$"),
        staging_folder(target) as folder,
    ):
        write_files(folder, "second")
    assert texts(target) == dict.fromkeys(FILES, "other")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_the_backup_named_in_the_error_exists(tmp_path, monkeypatch):
    """Another process writes the target just after restoring the previous bundle failed."""
    target, rename = tmp_path / "bundle", Path.rename
    with staging_folder(target) as folder:
        write_files(folder, "first")

    def refuse(path, to):
        if to == target:
            raise OSError(5, "Input/output error")
        return rename(path, to)

    def write_late(backup, to):
        to.mkdir()
        return False

    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr("fer.bundle.files._restore", write_late)
    with pytest.raises(FerError, match="is kept in") as raised, staging_folder(target) as folder:
        write_files(folder, "second")
    (backup,) = tmp_path.glob(".bundle-*/earlier")
    assert str(backup) in str(raised.value)
    assert texts(backup) == dict.fromkeys(FILES, "first")


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_only_bundles_are_replaced(tmp_path, kind):
    target = tmp_path / "thesis"
    if kind == "file":
        target.write_text("years of work")
    else:
        target.mkdir()
        (target / "chapter.txt").write_text("years of work")
    with pytest.raises(FerError, match="Choose another folder"), staging_folder(target) as folder:
        write_files(folder, "bundle")
    assert "years of work" in (target if kind == "file" else target / "chapter.txt").read_text()


def test_a_killed_writer_leaves_no_partial_bundle(bundle, tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from fer.bundle.files import staging_folder\n"
        "with staging_folder(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'model.onnx').write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    for target in (bundle.folder, tmp_path / "fresh"):
        process = subprocess.run([sys.executable, "-c", code, str(target)], env=dict(os.environ))
        assert process.returncode == -signal.SIGKILL
    assert read_bundle(bundle.folder) == bundle
    assert not (tmp_path / "fresh").exists()


def test_the_card_is_plain_json(bundle):
    card = json.loads((bundle.folder / CARD).read_text())
    assert card["labels"]["names"][0] == "angry"
    assert card["crop"]["points"][0] == [0.3, 0.4]


def test_the_current_folder_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(FerError, match="expected a folder other than the current one"),
        staging_folder(Path()),
    ):
        pass
    assert not list(tmp_path.parent.glob(f".{tmp_path.name}-*"))


def test_the_registry_takes_precedence_over_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_bundle("fer2013").folder == ZOO / "fer2013"
    # A folder of that name without a card, e.g. the data set, is ignored.
    (tmp_path / "fer2013").mkdir()
    assert find_bundle("fer2013").folder == ZOO / "fer2013"
    # A version of such a name is refused today, but a registry may have one from before.
    write_bundle(tmp_path / "models" / "fer2013" / "1", name="fer2013")
    with pytest.warns(UserWarning, match="fer2013: the version in models hides the model of the package"):
        assert find_bundle("fer2013").folder.resolve() == tmp_path / "models" / "fer2013" / "1"
    write_bundle(tmp_path / "bundle", name="fer2013")
    assert find_bundle("bundle").card.name == "fer2013"
    (tmp_path / "empty").mkdir()
    with pytest.raises(FerError, match="expected a bundle"):
        find_bundle("empty")


def test_an_older_card_without_resize_is_valid(bundle):
    path = bundle.folder / CARD
    content = json.loads(path.read_text())
    assert content["crop"].pop("resize")["smaller"] == "mean over areas"
    path.write_text(json.dumps(content))
    assert read_bundle(bundle.folder) == bundle
