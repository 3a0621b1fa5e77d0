"""fer-app as it is typed: mistakes are told before it starts, and it ends quietly."""

import signal
import socket
import subprocess
import sys
import urllib.request
from types import SimpleNamespace

import pytest
from serving_app import serving, started

from fer import app_cli
from fer.app.settings import settings


def fer_app(*words):
    return subprocess.run(
        [sys.executable, "-m", "fer.app_cli", "--no-browser", *words],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_help_loads_nothing_large():
    code = (
        "import sys, fer.app_cli; fer.app_cli.parser().format_help(); "
        "print(sorted({'streamlit', 'cv2', 'onnxruntime', 'numpy'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--port", "99999"), "a whole number from 1 to 65535"),
        (("--max-upload-mb", "x"), "a whole number from 1 to 2000"),
        (("--address", "no.such.host.invalid"), "the app cannot be reached there"),
        (("--address", "a" * 70), "expected a name or number of this machine"),
        (("--model", "fer2014"), "Did you mean 'fer2013'"),
        (("--model", "x" * 400), "cannot be looked up"),
        (("--model", "~no-such-user/bundle"), "no home folder is known of no-such-user"),
        (("--models", "no/such"), "no/such: expected a folder of versions"),
        (("--ice-server", "stun.example.org"), "expected stun:HOST:PORT or turn:USER:PASSWORD@HOST:PORT"),
        (("--ice-server", "stun:a b"), "got 'stun:a b'"),
        (("--ice-server", "http://stun.example.org"), "expected stun:HOST:PORT"),
        (("--detector", "haar", "--detector-model", "x.onnx"), "takes no file"),
    ],
)
def test_a_mistake_is_one_clear_line(words, message):
    told = fer_app(*words)
    assert told.returncode == 2
    assert message in told.stderr
    assert "Traceback" not in told.stderr


def test_servers_for_webcams_are_taken():
    known = ["stun:stun.example:3478", "stuns:[::1]", "turns:ann:p%40ss@turn.example:443?transport=tcp"]
    words = [word for server in known for word in ("--ice-server", server)]
    assert app_cli.parser().parse_args(words).ice_server == known


def test_files_of_the_machine_are_named_from_the_root_on(tmp_path, monkeypatch):
    """What the server is given does not depend on where it is, and messages can be rid of it."""
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(app_cli, "check_port", lambda *_: None)
    monkeypatch.setitem(sys.modules, "fer.app.server", SimpleNamespace(serve=lambda *_, **__: None))
    with pytest.raises(SystemExit, match="0"):
        app_cli.main(["--model", "RUN/bundle", "--models", "models", "--detector-model", "y.onnx"])
    assert settings().models == tmp_path / "models"
    assert settings().model == str(tmp_path / "RUN" / "bundle")
    assert settings().detector_model == str(tmp_path / "y.onnx")
    with pytest.raises(SystemExit, match="0"):
        app_cli.main(["--model", "fer2013"])
    assert settings().model == "fer2013"
    assert settings().models == tmp_path / "models"


def test_a_port_that_is_taken_is_told_before_the_start():
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        port = taken.getsockname()[1]
        told = fer_app("--port", str(port))
    assert told.returncode == 2
    assert told.stderr.startswith(f"error: localhost, port {port}: ")
    assert len(told.stderr.splitlines()) == 1


def test_streamlit_that_is_not_installed_is_named(tmp_path):
    code = (
        "import sys; sys.modules['streamlit'] = None; import fer.app_cli; fer.app_cli.main(['--no-browser'])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert "fer-lightning[app]" in told.stderr
    assert "Traceback" not in told.stderr


def test_it_serves_on_this_computer_alone_and_ends_with_ctrl_c():
    with serving() as url, urllib.request.urlopen(url, timeout=5) as answer:
        assert b"<title>" in answer.read()
        port = int(url.rpartition(":")[2])
        elsewhere = subprocess.run(
            [sys.executable, "-c", f"import socket; socket.create_connection(('127.0.0.2', {port}), 2)"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "refused" in elsewhere.stderr.lower()


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_quietly(way):
    with started() as (url, server):
        server.send_signal(way)
        told, _ = server.communicate(timeout=20)
    assert server.returncode == 0
    assert "Traceback" not in told
    assert f"fer-app: {url}  (model fer2013, faces by haar)" in told


def test_answers_are_given_without_torch():
    code = """
import sys
from streamlit.testing.v1 import AppTest
page = AppTest.from_string("from fer.app.views import upload; upload.page()", default_timeout=60).run()
page.button_group(key="sample").set_value(0)
page.run()
page.toggle(key="why").set_value(True).run()
assert page.subheader[0].value.startswith("Happy"), page
print(sorted({"torch", "pytorch_lightning", "hydra", "matplotlib", "wandb"} & set(sys.modules)))
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert told.stdout.strip() == "[]", told.stderr
