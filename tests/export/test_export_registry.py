"""fer-export --register and --wandb: versions in a registry and as W&B artifacts."""

import pytest
from untrained_run import write_run

from fer.bundle.files import read_bundle
from fer.bundle.registry import Registry

pytestmark = pytest.mark.usefixtures("exported_once")


def test_registering_adds_versions(fer_export, run, tmp_path):
    models = tmp_path / "models"
    for version in (1, 2):
        status, output, _ = fer_export(run, "--register", models)
        assert status == 0
        assert f"tiny:{version}" in output
    assert Registry(models).versions("tiny") == [1, 2]
    assert read_bundle(run / "bundle").card.version == 0


@pytest.mark.parametrize(("run_name", "options"), [("tiny", ["--name", "fer2013"]), ("fer2013", [])])
def test_a_version_that_would_hide_a_model_of_the_package_is_refused(
    fer_export, fer2013_csv, tmp_path, monkeypatch, run_name, options
):
    monkeypatch.chdir(tmp_path)
    data = {"name": "fer2013", "path": str(fer2013_csv)}
    run = write_run(tmp_path / "outputs", data, name=f"12-00-00_{run_name}_s0_abcd")
    status, output, error = fer_export(run, "--register", *options)
    assert (status, output, error.count("\n")) == (2, "", 1)
    assert "'fer2013' is a model of the package" in error
    # Refused before the export.
    assert not (run / "bundle").exists()
    assert not (tmp_path / "models").exists()


def test_the_registered_version_is_logged_to_wandb(fer_export, run, tmp_path, monkeypatch):
    logged = []
    monkeypatch.setattr("fer.export.cli.log_artifact", lambda *arguments: logged.append(arguments))
    assert fer_export(run, "--register", tmp_path / "models", "--wandb")[0] == 0
    ((entry, folder, _, config, aliases),) = logged
    assert entry.folder == tmp_path / "models" / "tiny" / "1"
    assert (folder, config["seed"], aliases) == (run, 0, ["latest", "version-1"])


def test_wandb_without_register_is_an_error(fer_export, run):
    assert fer_export(run, "--wandb")[0] == 2
