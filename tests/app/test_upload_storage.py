"""Upload limits of a session, enforced on the server."""

import pytest
from starlette.exceptions import HTTPException
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from fer.app import server
from fer.app.server import BoundedUploadManager
from fer.app.settings import Settings, set_settings


@pytest.fixture
def files(monkeypatch):
    """A store with a limit of 4 MB per session."""
    monkeypatch.setattr(server, "MAX_SESSION_MB", 4)
    set_settings(Settings(max_upload_mb=1))
    return BoundedUploadManager("/upload")


def send(files, session, name, megabytes):
    files.add_file(session, UploadedFileRec(name, f"{name}.jpg", "image/jpeg", bytes(megabytes << 20)))


def stored(files, session):
    return [file.file_id for file in files.get_files(session, "abcde")]


def test_a_file_beyond_the_total_is_rejected_and_others_stay(files):
    for name in "abcd":
        send(files, "ann", name, 1)
    with pytest.raises(HTTPException) as caught:
        send(files, "ann", "e", 1)
    assert caught.value.status_code == 413
    assert stored(files, "ann") == [*"abcd"]


def test_sessions_have_separate_limits(files):
    send(files, "ann", "a", 4)
    send(files, "bob", "a", 4)
    assert stored(files, "bob") == ["a"]


def test_removed_or_replaced_files_free_space(files):
    send(files, "ann", "a", 4)
    send(files, "ann", "a", 3)
    send(files, "ann", "b", 1)
    files.remove_file("ann", "a")
    send(files, "ann", "c", 3)
    assert stored(files, "ann") == ["b", "c"]


def test_two_files_of_maximal_size_always_fit(files):
    set_settings(Settings(max_upload_mb=3))
    send(files, "ann", "a", 3)
    send(files, "ann", "b", 3)
    with pytest.raises(HTTPException):
        send(files, "ann", "c", 1)


def test_the_number_of_files_is_limited(files, monkeypatch):
    monkeypatch.setattr(server, "MAX_SESSION_FILES", 2)
    send(files, "ann", "a", 0)
    send(files, "ann", "b", 0)
    with pytest.raises(HTTPException):
        send(files, "ann", "c", 0)
    send(files, "ann", "b", 1)
