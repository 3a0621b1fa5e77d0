"""What a visitor may have in memory: refused is what goes beyond, whatever the browser says."""

import pytest
from starlette.exceptions import HTTPException
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from fer.app import held_files
from fer.app.held_files import HeldFiles
from fer.app.settings import Settings, use


@pytest.fixture
def files(monkeypatch):
    """A store of 4 MB a visitor."""
    monkeypatch.setattr(held_files, "MAX_SESSION_MB", 4)
    use(Settings(max_upload_mb=1))
    return HeldFiles("/upload")


def send(files, session, name, megabytes):
    files.add_file(session, UploadedFileRec(name, f"{name}.jpg", "image/jpeg", bytes(megabytes << 20)))


def held(files, session):
    return [file.file_id for file in files.get_files(session, "abcde")]


def test_files_beyond_the_total_are_refused_and_others_stay(files):
    for name in "abcd":
        send(files, "ann", name, 1)
    with pytest.raises(HTTPException) as caught:
        send(files, "ann", "e", 1)
    assert caught.value.status_code == 413
    assert held(files, "ann") == [*"abcd"]


def test_visitors_do_not_take_room_from_each_other(files):
    send(files, "ann", "a", 4)
    send(files, "bob", "a", 4)
    assert held(files, "bob") == ["a"]


def test_what_is_removed_or_replaced_makes_room(files):
    send(files, "ann", "a", 4)
    send(files, "ann", "a", 3)
    send(files, "ann", "b", 1)
    files.remove_file("ann", "a")
    send(files, "ann", "c", 3)
    assert held(files, "ann") == ["b", "c"]


def test_one_large_file_and_its_successor_always_fit(files):
    use(Settings(max_upload_mb=3))
    send(files, "ann", "a", 3)
    send(files, "ann", "b", 3)
    with pytest.raises(HTTPException):
        send(files, "ann", "c", 1)


def test_files_are_counted_even_if_they_are_empty(files, monkeypatch):
    monkeypatch.setattr(held_files, "MAX_SESSION_FILES", 2)
    send(files, "ann", "a", 0)
    send(files, "ann", "b", 0)
    with pytest.raises(HTTPException):
        send(files, "ann", "c", 0)
    send(files, "ann", "b", 1)
