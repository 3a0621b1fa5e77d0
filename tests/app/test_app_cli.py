"""The command line of fer-app: errors before the start, network access, shutdown."""

import signal
import socket
import subprocess
import sys
import urllib.request
from types import SimpleNamespace

import pytest
from app_server import serving, started

from fer.app import cli
from fer.app.settings import settings


def fer_app(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "fer.app.cli", "--no-browser", *arguments],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_help_imports_no_large_package():
    code = (
        "import sys, fer.app.cli; fer.app.cli.build_parser().format_help(); "
        "print(sorted({'streamlit', 'cv2', 'onnxruntime', 'numpy'} & set(sys.modules)))"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"


def test_the_server_does_not_import_the_libraries_of_the_webcam():
    """Streamlit finds the files of a component only if it is imported while the server runs."""
    code = (
        "import sys, fer.app.server; print(sorted({'streamlit_webrtc', 'aiortc', 'av'} & set(sys.modules)))"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--port", "99999"), "an integer from 1 to 65535"),
        (("--max-upload-mb", "x"), "an integer from 1 to 2000"),
        (("--address", "no.such.host.invalid"), "cannot listen there"),
        (("--address", "a" * 70), "expected a host name or IP address of this machine"),
        (("--model", "fer2014"), "Did you mean 'fer2013'"),
        (("--model", "x" * 400), "the path cannot be checked"),
        (("--model", "~no-such-user/bundle"), "the home folder of no-such-user is unknown"),
        (("--models", "no/such"), "no/such: expected a registry folder"),
        (("--ice-server", "stun.example.org"), "expected stun:HOST:PORT or turn:USER:PASSWORD@HOST:PORT"),
        (("--ice-server", "stun:a b"), "got 'stun:a b'"),
        (("--ice-server", "http://stun.example.org"), "expected stun:HOST:PORT"),
        (("--detector", "haar", "--detector-model", "x.onnx"), "takes no file"),
        (("--device", "cuda", "--port", "8599"), "device: expected a device that is installed"),
    ],
)
def test_an_error_is_reported_without_traceback(arguments, message):
    process = fer_app(*arguments)
    assert process.returncode == 2
    assert message in process.stderr
    assert "Traceback" not in process.stderr


def test_variables_of_streamlit_apply_without_an_option(monkeypatch):
    monkeypatch.setenv("STREAMLIT_SERVER_PORT", "8600")
    monkeypatch.setenv("STREAMLIT_SERVER_MAX_UPLOAD_SIZE", "7")
    options = cli.parse(["--port", "8700"])
    assert (options.port, options.max_upload_mb, options.address) == (8700, 7, "localhost")
    assert cli.parse([]).port == 8600


def test_a_wrong_variable_of_streamlit_is_named(monkeypatch, capsys):
    monkeypatch.setenv("STREAMLIT_SERVER_PORT", "abc")
    assert cli.parse(["--port", "8700"]).port == 8700
    with pytest.raises(SystemExit, match="2"):
        cli.main([])
    message = "STREAMLIT_SERVER_PORT: expected an integer from 1 to 65535, got 'abc'. Correct the variable"
    assert message in capsys.readouterr().err


def test_ice_servers_are_accepted():
    servers = ["stun:stun.example:3478", "stuns:[::1]", "turns:ann:p%40ss@turn.example:443?transport=tcp"]
    arguments = [argument for server in servers for argument in ("--ice-server", server)]
    assert cli.build_parser().parse_args(arguments).ice_server == servers


def test_paths_are_made_absolute(tmp_path, monkeypatch):
    """Settings do not depend on the working folder, and the paths can be removed from messages."""
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "check_port", lambda *_: None)
    monkeypatch.setitem(sys.modules, "fer.app.server", SimpleNamespace(serve=lambda *_, **__: None))
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--model", "RUN/bundle", "--models", "models", "--detector-model", "y.onnx"])
    assert settings().models == tmp_path / "models"
    assert settings().model == str(tmp_path / "RUN" / "bundle")
    assert settings().detector_model == str(tmp_path / "y.onnx")
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--model", "fer2013"])
    assert settings().model == "fer2013"
    assert settings().models == tmp_path / "models"


def test_a_port_in_use_is_reported_before_the_start():
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        listener.listen()
        port = listener.getsockname()[1]
        process = fer_app("--port", str(port))
    assert process.returncode == 2
    assert process.stderr.startswith(f"error: --address localhost, --port {port}: ")
    assert len(process.stderr.splitlines()) == 1


def test_missing_streamlit_is_reported(tmp_path):
    code = (
        "import sys; sys.modules['streamlit'] = None; import fer.app.cli; fer.app.cli.main(['--no-browser'])"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 2
    assert "fer-lightning[app]" in process.stderr
    assert "Traceback" not in process.stderr


def test_it_listens_on_localhost_only():
    with serving() as url, urllib.request.urlopen(url, timeout=5) as answer:
        assert b"<title>" in answer.read()
        port = int(url.rpartition(":")[2])
        other_address = subprocess.run(
            [sys.executable, "-c", f"import socket; socket.create_connection(('127.0.0.2', {port}), 2)"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "refused" in other_address.stderr.lower()


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_without_traceback(signal_number):
    with started() as (url, server):
        server.send_signal(signal_number)
        output, _ = server.communicate(timeout=20)
    assert server.returncode == 0
    assert "Traceback" not in output
    assert f"fer-app: {url}  (model fer2013, detector haar)" in output


def test_prediction_imports_no_torch():
    code = """
import sys
from streamlit.testing.v1 import AppTest
page = AppTest.from_string("from fer.app.pages import upload; upload.page()", default_timeout=60).run()
page.button_group(key="sample").set_value(0)
page.run()
page.toggle(key="explain").set_value(True).run()
assert page.header[0].value.startswith("Happy"), page
print(sorted({"torch", "pytorch_lightning", "hydra", "matplotlib", "wandb"} & set(sys.modules)))
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.stdout.strip() == "[]", process.stderr
