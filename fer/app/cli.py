"""Command line of ``fer-app``: emotions of the faces in images, videos and a webcam, in the browser."""

import argparse
import os
import re
import socket
import sys
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from fer.app.settings import MAX_UPLOAD_MB, Settings, set_settings
from fer.core.command_line import command_parser, run_command
from fer.core.device import add_device_option
from fer.core.errors import FerError
from fer.core.hub import is_on_hub
from fer.core.paths import expand_user

_EXAMPLES = """examples:
  fer-app                                          use the model of the package and open the browser
  fer-app --model RUN/bundle --detector yunet      use your own model (fer-export RUN)
  fer-app --models models/ --port 8502             compare model versions (fer-export RUN --register)
  fer-app --address 0.0.0.0 --no-browser           allow access from the network, see docs/app.md

Variables of Streamlit such as STREAMLIT_SERVER_BASE_URL_PATH apply where no option is given.
Images stay in memory and are deleted after the page is closed. Press Ctrl-C to stop the app."""
MAX_PORT, UPLOAD_LIMIT_MB = 65535, 2000


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(
        "fer-app",
        "Show in the browser which emotions faces express: in images, in videos, on the webcam.",
        _EXAMPLES,
    )
    parser.add_argument(
        "--model",
        metavar="BUNDLE",
        help="bundle folder, model name or hf:owner/name[@revision] (default: the model of the package)",
    )
    parser.add_argument(
        "--models",
        type=Path,
        metavar="REGISTRY",
        help="registry folder with model versions to choose from and compare (default: models/)",
    )
    parser.add_argument(
        "--detector",
        default="auto",
        choices=("auto", "yunet", "haar", "mtcnn"),
        help="face detector (default: yunet if its model file is available, otherwise haar)",
    )
    parser.add_argument("--detector-model", metavar="FILE", help="model file of the yunet detector")
    add_device_option(parser)
    parser.add_argument(
        "--address",
        default=os.environ.get("STREAMLIT_SERVER_ADDRESS", "localhost"),
        help="network address to listen on (default: localhost, reachable from this computer only)",
    )
    parser.add_argument(
        "--port",
        type=partial(_int_in_range, minimum=1, maximum=MAX_PORT),
        help="port to listen on (default: 8501)",
    )
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    parser.add_argument(
        "--max-upload-mb",
        type=partial(_int_in_range, minimum=1, maximum=UPLOAD_LIMIT_MB),
        metavar="MB",
        help=f"maximum size of an uploaded file in megabytes (default: {MAX_UPLOAD_MB})",
    )
    parser.add_argument(
        "--ice-server",
        action="append",
        default=[],
        type=_ice_server,
        metavar="URL",
        help="STUN or TURN server for webcams in other networks: stun:HOST:PORT or "
        "turn:USER:PASSWORD@HOST:PORT; can be repeated",
    )
    return parser


def _ice_server(text: str) -> str:
    if not re.fullmatch(r"(stun|turn)s?:\S+", text):
        raise argparse.ArgumentTypeError(
            f"expected stun:HOST:PORT or turn:USER:PASSWORD@HOST:PORT, got {text!r}"
        )
    return text


def _int_in_range(text: str, minimum: int, maximum: int) -> int:
    if not (text.isascii() and text.isdigit() and minimum <= int(text) <= maximum):
        raise argparse.ArgumentTypeError(f"expected an integer from {minimum} to {maximum}, got {text!r}")
    return int(text)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options; those that are not given are set by variables of Streamlit.

    Raises:
        FerError: A variable is not a number in range.
    """
    options = build_parser().parse_args(arguments)
    if options.port is None:
        options.port = _from_variable("STREAMLIT_SERVER_PORT", 8501, MAX_PORT)
    if options.max_upload_mb is None:
        name = "STREAMLIT_SERVER_MAX_UPLOAD_SIZE"
        options.max_upload_mb = _from_variable(name, MAX_UPLOAD_MB, UPLOAD_LIMIT_MB)
    return options


def _from_variable(name: str, default: int, maximum: int) -> int:
    try:
        return _int_in_range(os.environ.get(name, str(default)), 1, maximum)
    except argparse.ArgumentTypeError as error:
        raise FerError(f"{name}: {error}. Correct the variable, or unset it.") from error


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``fer-app`` until it is interrupted, then exit with its status."""
    sys.exit(run_command(lambda: _serve(parse(arguments))))


def _serve(options: argparse.Namespace) -> None:
    if find_spec("streamlit") is None:
        raise FerError(
            "fer-app: expected Streamlit to be installed, but it is not. Install it with "
            "pip install 'fer-lightning[app]', or use uv run in a checkout."
        )
    check_port(options.address, options.port)
    # Imports ONNX Runtime.
    from fer.bundle.providers import choose_device

    choose_device(options.device)
    set_settings(
        Settings(
            model=_model_reference(options.model),
            models=_registry_folder(options.models),
            detector=options.detector,
            detector_model=_absolute_path(options.detector_model),
            ice_servers=tuple(options.ice_server),
            max_upload_mb=options.max_upload_mb,
            device=options.device,
        )
    )
    # Imported late: this loads Streamlit, OpenCV and ONNX Runtime.
    from fer.app.server import serve

    serve(options.address, options.port, browser=not options.no_browser)


def _model_reference(model: str | None) -> str | None:
    """Return the absolute path of a bundle folder, or the model name unchanged.

    Absolute paths can be recognised and removed from the messages that visitors see.
    """
    try:
        is_folder = model is not None and not is_on_hub(model) and ("/" in model or Path(model).exists())
    except OSError as error:
        raise FerError(
            f"--model {str(model)[:200]}: expected a bundle folder or a model name, but the path cannot be "
            f"checked ({error.strerror})."
        ) from error
    return _absolute_path(model) if is_folder else model


def _absolute_path(name: str | None) -> str | None:
    return None if name is None else str(expand_user(name).absolute())


def _registry_folder(folder: Path | None) -> Path:
    """Return the absolute registry folder. A folder that the user names must exist; the default need not."""
    if folder is None:
        return Settings.models.absolute()
    if not expand_user(folder).is_dir():
        raise FerError(
            f"--models {folder}: expected a registry folder, but it does not exist. Create one with "
            "fer-export RUN --register."
        )
    return expand_user(folder).absolute()


def check_port(address: str, port: int) -> None:
    """Check that the app can listen on an address and port.

    Raises:
        FerError: The address is not one of this machine, or the port is in use.
    """
    try:
        family, kind, protocol, _, socket_address = socket.getaddrinfo(
            address, port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(socket_address)
    except UnicodeError as error:
        raise FerError(
            f"--address {address[:80]}: expected a host name or IP address of this machine, got an invalid "
            "name. Use localhost, or an address of this machine."
        ) from error
    except OSError as error:
        raise FerError(
            f"--address {address}, --port {port}: expected an address of this machine and a free port, but "
            f"the app cannot listen there ({error.strerror}). If the port is in use, choose another "
            f"one: --port {port + 1 if port < 65535 else 8501}"
        ) from None


if __name__ == "__main__":
    main()
