"""Config files of one's own, and runs from the config of an earlier run."""

import pytest
import yaml

from fer.training.rerun import flags_first


def config_of(run):
    return yaml.safe_load((run.folder / "config.yaml").read_text())


@pytest.fixture
def earlier(tiny_run):
    return tiny_run("optimizer=sgd", "seed=4", "model=fast_cnn_inner", "mix=mixup", "callbacks=swa")


def without_own(config):
    return {key: value for key, value in config.items() if key != "name"}


@pytest.mark.parametrize(
    "form",
    ["experiment={}", "--config-dir {} --config-name config", "-cd={} -cn=config", "-cp {} -cn config"],
)
def test_an_earlier_run_is_repeated(form, earlier, fer_train):
    again = fer_train(*form.format(earlier.folder).split())
    assert without_own(config_of(again)) == without_own(config_of(earlier))
    assert again.folder.name.split("_", 1)[1].startswith("rerun_synthetic_fast_cnn_inner_s4_")
    assert again.record["best"]["val/loss"] == earlier.record["best"]["val/loss"]
    assert f"experiment={earlier.folder}" in again.record["command"]


def test_options_of_an_earlier_run_can_be_changed(earlier, fer_train):
    again = config_of(fer_train(f"experiment={earlier.folder}", "optimizer=adamw", "mix.alpha=0.4", "seed=5"))
    before = config_of(earlier)
    assert again["optimizer"]["name"] == "adamw"
    assert "momentum" not in again["optimizer"]
    assert (again["mix"]["alpha"], again["seed"]) == (0.4, 5)
    assert again["model"] == before["model"]


def test_a_run_folder_names_no_code(earlier, fer_train, capsys):
    """As one might be published that somebody else wants to be run."""
    config = config_of(earlier)
    config["callbacks"]["bad"] = {"_target_": "os.system", "command": "touch /tmp/bad"}
    (earlier.folder / "config.yaml").write_text(yaml.safe_dump(config))
    for arguments in (f"experiment={earlier.folder}", f"resume={earlier.folder}"):
        assert fer_train(arguments).status == 2
        assert "callbacks.bad: expected options, got _target_=os.system." in capsys.readouterr().err


def test_a_multirun_of_a_run_folder_is_refused(earlier, fer_train, capsys):
    assert fer_train("-m", f"experiment={earlier.folder}", "seed=0,1").status == 2
    assert "expected a single run, got a multirun." in capsys.readouterr().err


@pytest.mark.parametrize("form", ["--config-dir {}", "hydra.searchpath=[file://{}]"])
def test_own_config_files(form, tmp_path, tiny_run, capsys):
    (tmp_path / "own" / "optimizer").mkdir(parents=True)
    (tmp_path / "own" / "optimizer" / "mine.yaml").write_text("name: adamw\nlr: 0.01\nweight_decay: 0.0\n")
    own = form.format(tmp_path / "own").split()
    assert config_of(tiny_run(*own, "optimizer=mine"))["optimizer"]["lr"] == 0.01
    assert tiny_run(*own, "optimizer=minee").status == 2
    assert "Did you mean 'mine'?" in capsys.readouterr().err


def test_flags_may_stand_between_overrides():
    assert flags_first(["a=1", "--config-dir", "own", "-m", "b=2", "--cfg=job"]) == [
        "--config-dir", "own", "-m", "--cfg=job", "a=1", "b=2",
    ]  # fmt: skip


def test_a_callback_of_ones_own_config_file_is_built(tmp_path, tiny_run):
    (tmp_path / "own" / "callbacks").mkdir(parents=True)
    (tmp_path / "own" / "callbacks" / "stop.yaml").write_text(
        "stop:\n  _target_: own_callbacks.StopAfter\n  epochs: 0\n"
    )
    run = tiny_run("--config-dir", str(tmp_path / "own"), "callbacks=stop")
    assert run.status == 2
    assert run.record["error"] == "stopped by the test"
    assert "_target_" not in (run.folder / "config.yaml").read_text()
    assert run.record["own_parts"] == {"callbacks.stop": {"_target_": "own_callbacks.StopAfter", "epochs": 0}}
