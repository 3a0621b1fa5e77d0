"""fer-predict as a process of its own: signals, pipes, encodings."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from colour_bundle import patches, write_bundle
from PIL import Image

RED = (255, 0, 0)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("models") / "colours")


def run_command(bundle, *words, **settings):
    command = [sys.executable, "-m", "fer.predict_cli", "--detector", "none", "--model", str(bundle), *words]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=_listen, **settings
    )


def _listen():
    """Take Ctrl-C also where the tests run in the background, whose children are told to ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.skipif(os.name == "nt", reason="signals are those of Unix")
def test_what_is_done_outlives_ctrl_c(bundle, tmp_path):
    """A folder that never ends: one of its pictures is a link to a slow one, again and again."""
    Image.fromarray(np.zeros((1500, 1500, 3), np.uint8)).save(tmp_path / "0.png")
    for number in range(1, 1000):
        (tmp_path / f"{number}.png").symlink_to(tmp_path / "0.png")
    out = tmp_path / "out.jsonl"
    process = run_command(bundle, str(tmp_path), "--json", str(out), "--threads", "1")
    while not (out.exists() and out.read_text().count("\n") > 3):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(2)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert 3 < len(rows) < 1000
    counted = (len(rows), len(rows) + 1)  # the signal may come after a picture was counted, before its line
    assert any(f"{number} of 1,000 pictures" in said.decode() for number in counted)
    assert errors.decode().strip() == "interrupted"


@pytest.mark.skipif(os.name == "nt", reason="pipes are those of Unix")
def test_a_reader_who_leaves_is_not_complained_of(bundle, tmp_path):
    for number in range(300):
        Image.fromarray(patches(RED)).save(tmp_path / f"{number}.png")
    process = run_command(bundle, str(tmp_path))
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 141


def test_a_name_in_no_encoding_is_no_obstacle(bundle, tmp_path):
    name = os.fsencode(tmp_path) + b"/caf\xe9.png"
    try:
        Path(os.fsdecode(name)).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    Image.fromarray(patches(RED)).save(os.fsdecode(name), "PNG")
    process = run_command(
        bundle, str(tmp_path), "--json", str(tmp_path / "o.jsonl"), env=os.environ | {"LC_ALL": "C"}
    )
    said, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, b"")
    assert b"angry" in said
    assert os.fsencode(json.loads((tmp_path / "o.jsonl").read_text())["file"]) == name


def test_help_is_quick_and_names_the_limits():
    start = time.perf_counter()
    said = subprocess.run(
        [sys.executable, "-m", "fer.predict_cli", "--help"], capture_output=True, text=True
    ).stdout
    assert time.perf_counter() - start < 5
    assert "research only" in said
    assert max(map(len, said.splitlines())) <= 110


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_ends_in_one_line(bundle, tmp_path):
    Image.fromarray(patches(RED)).save(tmp_path / "a.png")
    process = run_command(bundle, str(tmp_path / "a.png"), "--json", "/dev/full")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert b"/dev/full: cannot be written on (No space left on device)" in errors
    assert b"Traceback" not in errors


def test_a_folder_says_what_it_holds_besides(bundle, tmp_path):
    Image.fromarray(patches(RED)).save(tmp_path / "a.png")
    (tmp_path / "b.heic").write_bytes(b"x")
    process = run_command(bundle, str(tmp_path))
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"passed over 1 .heic" in output
