"""The files that visitors sent, in memory: so many and so large for each visitor, and no more."""

import threading

from starlette.exceptions import HTTPException
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from fer.app.limits import MAX_SESSION_FILES, MAX_SESSION_MB
from fer.app.settings import settings


class HeldFiles(MemoryUploadedFileManager):
    """Streamlit's store of uploads, which bounds a file, with a bound for all files of a session.

    What a page asks for is only advice to browsers: a program can send as much as it likes.
    """

    def __init__(self, upload_endpoint: str) -> None:
        super().__init__(upload_endpoint)
        self._adding = threading.Lock()

    def add_file(self, session_id: str, file: UploadedFileRec) -> None:
        """Keep a file.

        Raises:
            HTTPException: With status 413, where the session would have too many files or bytes.
        """
        with self._adding:
            held = self.file_storage.get(session_id, {})
            sizes = [len(other.data) for name, other in list(held.items()) if name != file.file_id]
            if len(sizes) >= MAX_SESSION_FILES or sum(sizes) + len(file.data) > _max_bytes():
                raise HTTPException(413, "Too many files, or too large together. Remove some first.")
            super().add_file(session_id, file)


def _max_bytes() -> int:
    """Return the bytes of a session: a film that replaces another is there before that one has gone."""
    return max(MAX_SESSION_MB, 2 * settings().max_upload_mb) << 20
