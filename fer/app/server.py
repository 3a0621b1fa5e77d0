"""Streamlit's server with the app's own look and limits."""

import gc
from pathlib import Path
from typing import Any

import cv2
from starlette.formparsers import MultiPartParser
from streamlit import net_util
from streamlit.web import bootstrap
from streamlit.web.server import server as streamlit_server

from fer.app.held_files import HeldFiles
from fer.app.left_sessions import LEFT_SECONDS, LeftSessions
from fer.app.look import THEME
from fer.app.serving import predictor
from fer.app.settings import settings

MAIN = Path(__file__).with_name("main.py")


def serve(address: str, port: int, browser: bool) -> None:
    """Serve the app until it is interrupted.

    Args:
        address: Name or number of the network interface to listen on.
        port: 1 to 65535.
        browser: Open one.

    Raises:
        FerError: The model or the detector cannot be used.
    """
    cv2.setNumThreads(1)  # a computation has one core: several visitors share the machine
    serves = predictor()  # what does not fit is said now, and the first visitor need not wait for it
    host = "localhost" if address in ("0.0.0.0", "::") else address
    print(
        f"fer-app: http://{host}:{port}  (model {serves.card.name}, faces by {serves.detector.name}). "
        "Ctrl-C ends.",
        flush=True,
    )
    # Streamlit collects garbage after every click: what was loaded once need not be looked through each time.
    gc.collect()
    gc.freeze()
    _change_streamlit()
    options = {name.replace(".", "_"): value for name, value in _options(address, port, browser).items()}
    bootstrap.load_config_options(options)
    bootstrap.run(str(MAIN), False, [], options)


def _change_streamlit() -> None:
    """Change what Streamlit has no options for."""
    MultiPartParser.spool_max_size = settings().max_upload_mb << 20  # uploads touch no disk
    streamlit_server.MemoryUploadedFileManager = HeldFiles  # type: ignore[misc]
    streamlit_server.MemorySessionStorage = LeftSessions  # type: ignore[misc,assignment]
    # To know its own address, it would ask a stranger's server whenever a page of another site comes in, and
    # let all visitors wait for the answer.
    net_util.get_external_ip = lambda: None


def _options(address: str, port: int, browser: bool) -> dict[str, Any]:
    return {
        "server.address": address,
        "server.port": port,
        "server.headless": not browser,
        "server.maxUploadSize": settings().max_upload_mb,
        "server.disconnectedSessionTTL": LEFT_SECONDS,
        "server.enableXsrfProtection": True,
        "server.enableCORS": True,  # on: other sites may not talk to it
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
