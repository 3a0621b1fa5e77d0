"""fer-app: emotions of faces in the browser, from pictures, films and the webcam."""

import argparse
import re
import socket
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from fer.app.settings import MAX_UPLOAD_MB, Settings, use
from fer.cli import run_and_explain
from fer.errors import FerError
from fer.places import at_home

_EXAMPLES = """examples:
  fer-app                                          the model that comes with the package; opens the browser
  fer-app --model RUN/bundle --detector yunet      a model of one's own (fer-export RUN)
  fer-app --models models/ --port 8502             versions to compare (fer-export RUN --register)
  fer-app --address 0.0.0.0 --no-browser           for others in the network, see docs/app.md

Pictures stay in memory and are gone when the page is closed. Ctrl-C ends the app."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    words = argparse.ArgumentParser(
        "fer-app",
        description="Show in the browser which emotion faces express: in pictures, films, before the webcam.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    words.add_argument("--model", metavar="BUNDLE", help="folder of a bundle, or the name of a model")
    words.add_argument(
        "--models",
        type=Path,
        metavar="REGISTRY",
        help="folder of versions to choose from and to compare (default: models/)",
    )
    words.add_argument(
        "--detector",
        default="auto",
        choices=("auto", "yunet", "haar", "mtcnn"),
        help="what finds the faces (default: yunet where its file is, else haar)",
    )
    words.add_argument("--detector-model", metavar="FILE", help="file of the detector (yunet)")
    words.add_argument("--address", default="localhost", help="who may come in (default: this computer)")
    words.add_argument("--port", type=_port, default=8501, help="default: 8501")
    words.add_argument("--no-browser", action="store_true", help="do not open a browser")
    words.add_argument(
        "--max-upload-mb",
        type=_megabytes,
        default=MAX_UPLOAD_MB,
        metavar="MB",
        help=f"megabytes that a file may have (default: {MAX_UPLOAD_MB})",
    )
    words.add_argument(
        "--ice-server",
        action="append",
        default=[],
        type=_ice_server,
        metavar="URL",
        help="for webcams across networks: stun:HOST:PORT or turn:USER:PASSWORD@HOST:PORT; may be repeated",
    )
    return words


def _port(text: str) -> int:
    return _whole(text, 1, 65535)


def _megabytes(text: str) -> int:
    return _whole(text, 1, 2000)


def _ice_server(text: str) -> str:
    if not re.fullmatch(r"(stun|turn)s?:\S+", text):
        raise argparse.ArgumentTypeError(
            f"expected stun:HOST:PORT or turn:USER:PASSWORD@HOST:PORT, got {text!r}"
        )
    return text


def _whole(text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise argparse.ArgumentTypeError(f"expected a whole number from {least} to {most}, got {text!r}")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``fer-app`` until it is interrupted, and exit with its status."""
    request = parser().parse_args(arguments)
    sys.exit(run_and_explain(lambda: _serve(request)))


def _serve(request: argparse.Namespace) -> None:
    if find_spec("streamlit") is None:
        raise FerError(
            "Streamlit is not installed, and the app needs it: pip install 'fer-lightning[app]', or uv run "
            "in a checkout."
        )
    check_port(request.address, request.port)
    use(
        Settings(
            model=_place(request.model),
            models=_registry(request.models),
            detector=request.detector,
            detector_model=_file(request.detector_model),
            ice_servers=tuple(request.ice_server),
            max_upload_mb=request.max_upload_mb,
        )
    )
    from fer.app.server import serve  # Streamlit, OpenCV and ONNX Runtime load only now

    serve(request.address, request.port, browser=not request.no_browser)


def _place(model: str | None) -> str | None:
    """Return the folder of a bundle from the root on, which messages leave out; or a model's name."""
    try:
        is_folder = model is not None and ("/" in model or Path(model).exists())
    except OSError as error:
        raise FerError(f"{str(model)[:200]}: cannot be looked up ({error.strerror}).") from error
    return _file(model) if is_folder else model


def _file(name: str | None) -> str | None:
    return None if name is None else str(at_home(name).absolute())


def _registry(folder: Path | None) -> Path:
    """Return the folder of versions; one that is named must be there, the usual one need not."""
    if folder is None:
        return Settings.models.absolute()
    if not at_home(folder).is_dir():
        raise FerError(
            f"{folder}: expected a folder of versions of models, but there is none. fer-export RUN "
            "--register makes one."
        )
    return at_home(folder).absolute()


def check_port(address: str, port: int) -> None:
    """Make sure that the app can be reached there.

    Raises:
        FerError: There is no such address, or another program has the port.
    """
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except UnicodeError as error:
        raise FerError(f"--address {address[:80]}: expected a name or number of this machine.") from error
    except OSError as error:
        raise FerError(
            f"{address}, port {port}: the app cannot be reached there ({error.strerror}). Is it running "
            f"already? Choose another port: --port {port + 1 if port < 65535 else 8501}"
        ) from None


if __name__ == "__main__":
    main()
