"""Streamlit server of the app, with its theme, upload limits and session storage."""

import gc
from pathlib import Path
from typing import Any

import cv2
from starlette.formparsers import MultiPartParser
from streamlit import net_util
from streamlit.web import bootstrap
from streamlit.web.server import server as streamlit_server

from fer.app.held_files import BoundedUploadManager
from fer.app.left_sessions import SESSION_TTL_SECONDS, DisconnectedSessions
from fer.app.look import THEME
from fer.app.serving import get_predictor
from fer.app.settings import settings

MAIN = Path(__file__).with_name("main.py")


def serve(address: str, port: int, browser: bool) -> None:
    """Serve the app until it is interrupted.

    Args:
        address: Host name or IP address of the network interface to listen on.
        port: 1 to 65535.
        browser: Open a browser.

    Raises:
        FerError: The model or the detector cannot be loaded.
    """
    # One core per computation: visitors are served in parallel.
    cv2.setNumThreads(1)
    # Loaded now, so that errors appear at the start and the first visitor does not wait.
    predictor = get_predictor()
    host = "localhost" if address in ("0.0.0.0", "::") else address
    print(
        f"fer-app: http://{host}:{port}  (model {predictor.card.name}, detector {predictor.detector.name}). "
        "Press Ctrl-C to stop.",
        flush=True,
    )
    # Streamlit collects garbage after every interaction: objects loaded so far are excluded from that.
    gc.collect()
    gc.freeze()
    _patch_streamlit()
    options = {name.replace(".", "_"): value for name, value in _options(address, port, browser).items()}
    bootstrap.load_config_options(options)
    bootstrap.run(str(MAIN), False, [], options)


def _patch_streamlit() -> None:
    """Change behaviour for which Streamlit has no options."""
    # Uploads are never spooled to disk.
    MultiPartParser.spool_max_size = settings().max_upload_mb << 20
    streamlit_server.MemoryUploadedFileManager = BoundedUploadManager  # type: ignore[misc]
    streamlit_server.MemorySessionStorage = DisconnectedSessions  # type: ignore[misc,assignment]
    # For a request from another origin, Streamlit would ask an external server for its own IP address, and
    # block all visitors until the reply.
    net_util.get_external_ip = lambda: None


def _options(address: str, port: int, browser: bool) -> dict[str, Any]:
    return {
        "server.address": address,
        "server.port": port,
        "server.headless": not browser,
        "server.maxUploadSize": settings().max_upload_mb,
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
