"""fer-export --register: versions in a folder, and the same for W&B."""

import pytest

from fer.bundle.files import read_bundle
from fer.bundle.registry import Registry

pytestmark = pytest.mark.usefixtures("exported_once")


def test_registering_adds_versions(fer_export, run, tmp_path):
    models = tmp_path / "models"
    for version in (1, 2):
        status, said, _ = fer_export(run, "--register", models)
        assert status == 0
        assert f"tiny:{version}" in said
    assert Registry(models).versions("tiny") == [1, 2]
    assert read_bundle(run / "bundle").card.version == 0


def test_wandb_is_sent_the_registered_version(fer_export, run, tmp_path, monkeypatch):
    sent = []
    monkeypatch.setattr("fer.exporting.wandb_artifact.send", lambda *given: sent.append(given))
    assert fer_export(run, "--register", tmp_path / "models", "--wandb")[0] == 0
    ((entry, folder, config, aliases),) = sent
    assert entry.folder == tmp_path / "models" / "tiny" / "1"
    assert (folder, config["seed"], aliases) == (run, 0, ["latest", "version-1"])


def test_wandb_without_registering_is_refused(fer_export, run):
    assert fer_export(run, "--wandb")[0] == 2
