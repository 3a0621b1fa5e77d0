"""The Streamlit server of the app: start, theme, upload limits, deletion of disconnected sessions."""

import asyncio
import gc
import os
import threading
from pathlib import Path
from typing import Any

import click
import cv2
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser
from streamlit import config, net_util
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.session_manager import SessionInfo, SessionStorage
from streamlit.runtime.uploaded_file_manager import UploadedFileRec
from streamlit.web import bootstrap
from streamlit.web.server import server as streamlit_server

from fer.app.resources import get_predictor
from fer.app.settings import MAX_SESSION_FILES, MAX_SESSION_MB, settings
from fer.core.errors import FerError

MAIN = Path(__file__).with_name("main.py")
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', sans-serif"
_LIGHT = {
    "primaryColor": "#1f5f8b",
    "backgroundColor": "#fbfbfa",
    "secondaryBackgroundColor": "#f0f1ef",
    "textColor": "#1b1f24",
    "linkColor": "#1f5f8b",
    "borderColor": "#d5d8d6",
}
_DARK = {
    "primaryColor": "#7fb8e0",
    "backgroundColor": "#15181c",
    "secondaryBackgroundColor": "#1f242a",
    "textColor": "#e8eaed",
    "linkColor": "#8fc3e8",
    "borderColor": "#3a424b",
}
THEME = {
    "font": _FONT,
    "headingFont": _FONT,
    "codeFont": "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace",
    "baseRadius": "8px",
    "headingFontSizes": ["1.75rem", "1.3rem", "1.1rem"],
    "headingFontWeights": [650, 600, 600],
    "showWidgetBorder": True,
    **{f"light.{name}": value for name, value in _LIGHT.items()},
    **{f"dark.{name}": value for name, value in _DARK.items()},
}
# A browser that reconnects within this time finds its session unchanged.
SESSION_TTL_SECONDS = 30


def serve(address: str, port: int, browser: bool) -> None:
    """Serve the app until it is interrupted.

    Args:
        address: Host name or IP address of the network interface to listen on.
        port: 1 to 65535.
        browser: Open a browser.

    Raises:
        FerError: The model or the detector cannot be loaded, or a variable ``STREAMLIT_…`` has a wrong value.
    """
    # One core per computation: visitors are served in parallel.
    cv2.setNumThreads(1)
    # Loaded now, so that errors appear at the start and the first visitor does not wait.
    predictor = get_predictor()
    options = {name.replace(".", "_"): value for name, value in _options(address, port, browser).items()}
    bootstrap.load_config_options(options)
    print(
        f"fer-app: {_url(address, port)}  (model {predictor.card.name}, detector {predictor.detector.name}). "
        "Press Ctrl-C to stop.",
        flush=True,
    )
    # Streamlit collects garbage after every interaction: objects loaded so far are excluded from that.
    gc.collect()
    gc.freeze()
    _patch_streamlit()
    bootstrap.run(str(MAIN), False, [], options)


def _patch_streamlit() -> None:
    """Change behaviour for which Streamlit has no options."""
    # Uploads are never spooled to disk.
    MultiPartParser.spool_max_size = settings().max_upload_mb << 20
    streamlit_server.MemoryUploadedFileManager = BoundedUploadManager  # type: ignore[misc]
    streamlit_server.MemorySessionStorage = DisconnectedSessions  # type: ignore[misc,assignment]
    # Until the first call of st.navigation, Streamlit would run the modules of `fer.app.pages` by itself: the
    # first visitor would see a list of them in a sidebar, or an empty page.
    PagesManager.uses_pages_directory = False
    # For a request from another origin, Streamlit would ask an external server for its own IP address, and
    # block all visitors until the reply.
    net_util.get_external_ip = lambda: None


def _url(address: str, port: int) -> str:
    scheme = "https" if config.get_option("server.sslCertFile") else "http"
    host = "localhost" if address in ("0.0.0.0", "::") else address
    path = (config.get_option("server.baseUrlPath") or "").strip("/")
    return f"{scheme}://{host}:{port}" + (f"/{path}" if path else "")


def _options(address: str, port: int, browser: bool) -> dict[str, Any]:
    """Return Streamlit's options: those of the command line, the user's, and defaults where neither is set.

    The user's are variables such as ``STREAMLIT_SERVER_BASE_URL_PATH``, and files ``.streamlit/config.toml``.
    """
    chosen = {
        "server.address": address,
        "server.port": port,
        "server.maxUploadSize": settings().max_upload_mb,
        **({} if browser else {"server.headless": True}),
    }
    environment = _environment_options()
    config.get_config_options(force_reparse=True, options_from_flags=environment)
    defaults = {key: value for key, value in _defaults().items() if not config.is_manually_set(key)}
    # Streamlit would warn that options have changed since they were parsed.
    config._config_options = None
    return {**defaults, **environment, **chosen}


def _environment_options() -> dict[str, Any]:
    """Return the options that environment variables set; Streamlit reads them only in its own command."""
    options: dict[str, Any] = {}
    for key, option in config._config_options_template.items():
        if option.sensitive or (text := os.environ.get(option.env_var)) is None:
            continue
        convert = click.types.convert_type(option.type)
        try:
            options[key] = [convert(part) for part in text.split()] if option.multiple else convert(text)
        except click.BadParameter as error:
            raise FerError(
                f"{option.env_var}: {error.message.rstrip('.')}. Correct or unset the variable."
            ) from error
    return options


def _defaults() -> dict[str, Any]:
    return {
        "server.headless": False,
        "server.disconnectedSessionTTL": SESSION_TTL_SECONDS,
        "server.enableXsrfProtection": True,
        # True enables the CORS protection: requests from other origins are refused.
        "server.enableCORS": True,
        "server.fileWatcherType": "none",
        "server.showEmailPrompt": False,
        "browser.gatherUsageStats": False,
        "client.showErrorDetails": "none",
        "client.showErrorLinks": False,
        "client.toolbarMode": "minimal",
        "logger.hideWelcomeMessage": True,
        "logger.level": "warning",
        **{f"theme.{name}": value for name, value in THEME.items()},
    }


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
            sizes = [len(old.data) for file_id, old in list(stored.items()) if file_id != file.file_id]
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


class DisconnectedSessions(SessionStorage):
    """Sessions whose browser is disconnected, each deleted after a delay.

    Streamlit's own storage deletes them only when another session disconnects.

    Args:
        ttl_seconds: Seconds until a session is deleted.
    """

    def __init__(self, ttl_seconds: float) -> None:
        self._ttl_seconds = ttl_seconds
        self._sessions: dict[str, SessionInfo] = {}

    def get(self, session_id: str) -> SessionInfo | None:
        """Return a session, or None if it was deleted."""
        return self._sessions.get(session_id)

    def save(self, session_info: SessionInfo) -> None:
        """Store a session and schedule its deletion; must be called within the server's event loop."""
        self._sessions[session_info.session.id] = session_info
        asyncio.get_running_loop().call_later(self._ttl_seconds, self._expire, session_info)

    def delete(self, session_id: str) -> None:
        """Remove a session from the store, as its browser has reconnected."""
        self._sessions.pop(session_id, None)

    def list(self) -> list[SessionInfo]:
        """Return the stored sessions."""
        return [*self._sessions.values()]

    def _expire(self, info: SessionInfo) -> None:
        session = info.session
        # Another entry means that the browser reconnected and disconnected again; it has its own timer.
        if self._sessions.get(session.id) is info:
            self.delete(session.id)
            # Frees the uploads, then the predictions.
            session.shutdown()
            session.session_state.clear()
            gc.collect()
