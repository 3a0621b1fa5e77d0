"""A registered version at W&B: an artifact of the run that trained it, offline as far as that goes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from wandb_file import Offline
from written_bundle import write_bundle

from fer.bundle.files import FILES
from fer.bundle.registry import Registry
from fer.labels import FER7

SEND = """
import sys
from pathlib import Path
from fer.bundle.files import read_bundle
from fer.exporting.wandb_artifact import send
send(read_bundle(sys.argv[1]), Path(sys.argv[2]), {"logger": {"wandb": None}}, ["latest", "version-1"])
"""


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    """Send in a process of its own, as W&B keeps one open, and read back what it would upload."""
    place = tmp_path_factory.mktemp("wandb")
    entry = Registry(place / "models").register(write_bundle(place / "bundle"))
    run = place / "2026-11-22" / "12-00-00_tiny_s0_abcd"
    run.mkdir(parents=True)
    paths = os.pathsep.join(filter(None, sys.path))
    environment = os.environ | {"WANDB_MODE": "offline", "PYTHONPATH": paths}
    words = [sys.executable, "-c", SEND, str(entry.folder), str(run)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    return done.stdout, Offline.read(run)


def test_the_artifact_is_the_whole_bundle_with_its_aliases(sent):
    artifact = sent[1].artifacts["model"]
    assert artifact.name == "tiny"
    assert set(artifact.aliases) == {"latest", "version-1"}
    assert {Path(entry.path).name for entry in artifact.manifest.contents} == FILES
    assert json.loads(artifact.metadata)["labels"]["names"] == list(FER7.names)
    assert json.loads(artifact.metadata)["version"] == 1


def test_offline_says_how_to_send_it_later(sent):
    assert "wandb sync" in sent[0]
    assert sent[1].exit_code == 0
