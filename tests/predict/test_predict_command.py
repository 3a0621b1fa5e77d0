"""fer-predict as a process: signals, pipes, encodings."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from color_bundle import patches, write_bundle
from interrupts import enable_sigint
from PIL import Image

RED = (255, 0, 0)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("models") / "colours")


def run_command(bundle, *arguments, **settings):
    command = [
        sys.executable,
        "-m",
        "fer.predict.cli",
        "--detector",
        "none",
        "--model",
        str(bundle),
        *arguments,
    ]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=enable_sigint, **settings
    )


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals are those of Unix")
def test_results_survive_ctrl_c(bundle, tmp_path):
    """A folder of 1,000 links to an image that is slow to process."""
    Image.fromarray(np.zeros((1500, 1500, 3), np.uint8)).save(tmp_path / "0.png")
    for number in range(1, 1000):
        (tmp_path / f"{number}.png").symlink_to(tmp_path / "0.png")
    out = tmp_path / "out.jsonl"
    process = run_command(bundle, str(tmp_path), "--json", str(out), "--threads", "1")
    while not (out.exists() and out.read_text().count("\n") > 3):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(2)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert 3 < len(rows) < 1000
    # The signal may come after an image was counted, before its line is written.
    counts = (len(rows), len(rows) + 1)
    assert any(f"{number} of 1,000 images" in output.decode() for number in counts)
    assert errors.decode().strip() == "interrupted"


@pytest.mark.skipif(os.name == "nt", reason="pipes are those of Unix")
def test_a_closed_pipe_is_not_an_error(bundle, tmp_path):
    for number in range(300):
        Image.fromarray(patches(RED)).save(tmp_path / f"{number}.png")
    process = run_command(bundle, str(tmp_path))
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 141


def test_a_file_name_with_invalid_encoding(bundle, tmp_path):
    name = os.fsencode(tmp_path) + b"/caf\xe9.png"
    try:
        Path(os.fsdecode(name)).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    Image.fromarray(patches(RED)).save(os.fsdecode(name), "PNG")
    process = run_command(
        bundle, str(tmp_path), "--json", str(tmp_path / "o.jsonl"), env=os.environ | {"LC_ALL": "C"}
    )
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, b"")
    assert b"angry" in output
    assert os.fsencode(json.loads((tmp_path / "o.jsonl").read_text())["file"]) == name


def test_help_is_fast_and_names_the_licence():
    start = time.perf_counter()
    output = subprocess.run(
        [sys.executable, "-m", "fer.predict.cli", "--help"], capture_output=True, text=True
    ).stdout
    assert time.perf_counter() - start < 5
    assert "research only" in output
    assert max(map(len, output.splitlines())) <= 110


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_line(bundle, tmp_path):
    Image.fromarray(patches(RED)).save(tmp_path / "a.png")
    process = run_command(bundle, str(tmp_path / "a.png"), "--json", "/dev/full")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert b"/dev/full: writing failed (No space left on device)" in errors
    assert b"Traceback" not in errors


def test_skipped_files_of_a_folder_are_printed(bundle, tmp_path):
    Image.fromarray(patches(RED)).save(tmp_path / "a.png")
    (tmp_path / "b.psd").write_bytes(b"x")
    process = run_command(bundle, str(tmp_path))
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"skipped 1 .psd" in output
