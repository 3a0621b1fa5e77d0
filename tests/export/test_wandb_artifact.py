"""A registered version as a W&B artifact of the run that trained it, in offline mode."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_bundle import write_bundle
from wandb_file import OfflineRun

from fer.bundle.files import FILES
from fer.bundle.registry import Registry
from fer.core.labels import FER7

LOG = """
import sys
from pathlib import Path
from fer.bundle.files import read_bundle
from fer.export.cli import log_artifact
bundle, folder = read_bundle(sys.argv[1]), Path(sys.argv[2])
log_artifact(bundle, folder, None, {"name": "run"}, ["latest", "version-1"])
"""


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """Log in a separate process, as W&B keeps its process open, and read back what it would upload."""
    folder = tmp_path_factory.mktemp("wandb")
    entry = Registry(folder / "models").register(write_bundle(folder / "bundle"))
    run = folder / "2026-11-22" / "12-00-00_tiny_s0_abcd"
    run.mkdir(parents=True)
    paths = os.pathsep.join(filter(None, sys.path))
    environment = os.environ | {"WANDB_MODE": "offline", "PYTHONPATH": paths}
    command = [sys.executable, "-c", LOG, str(entry.folder), str(run)]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return process.stdout, OfflineRun.read(run)


def test_the_artifact_has_all_files_and_aliases(logged):
    artifact = logged[1].artifacts["model"]
    assert artifact.name == "tiny"
    assert set(artifact.aliases) == {"latest", "version-1"}
    assert {Path(entry.path).name for entry in artifact.manifest.contents} == FILES
    assert json.loads(artifact.metadata)["labels"]["names"] == list(FER7.names)
    assert json.loads(artifact.metadata)["version"] == 1


def test_offline_prints_the_sync_command(logged):
    assert "wandb sync" in logged[0]
    assert logged[1].exit_code == 0
