"""Upload store with limits per session: number of files and total size."""

import threading

from starlette.exceptions import HTTPException
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from fer.app.limits import MAX_SESSION_FILES, MAX_SESSION_MB
from fer.app.settings import settings


class BoundedUploadManager(MemoryUploadedFileManager):
    """Streamlit's in-memory upload store with a limit on the number and total size of a session's files.

    The limits of the page's upload widgets apply in browsers only: a script can bypass them.
    """

    def __init__(self, upload_endpoint: str) -> None:
        super().__init__(upload_endpoint)
        self._limit_lock = threading.Lock()

    def add_file(self, session_id: str, file: UploadedFileRec) -> None:
        """Store a file.

        Raises:
            HTTPException: Status 413: the session would exceed the limit of files or bytes.
        """
        with self._limit_lock:
            stored = self.file_storage.get(session_id, {})
            sizes = [len(one.data) for file_id, one in list(stored.items()) if file_id != file.file_id]
            if len(sizes) >= MAX_SESSION_FILES or sum(sizes) + len(file.data) > _max_session_bytes():
                raise HTTPException(
                    413,
                    f"Upload: expected at most {MAX_SESSION_FILES} files and "
                    f"{_max_session_bytes() >> 20} MB in total. Remove some files first.",
                )
            super().add_file(session_id, file)


def _max_session_bytes() -> int:
    """Return the limit of a session: at least two maximal files, as a replaced file is removed only later."""
    return max(MAX_SESSION_MB, 2 * settings().max_upload_mb) << 20
