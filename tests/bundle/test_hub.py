"""Push to and load from the Hugging Face Hub, with a local server in its place."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import yaml
from hub_server import hub  # noqa: F401  # a fixture
from tiny_bundle import SIDE, write_bundle

from fer import Predictor
from fer.bundle.cli import main
from fer.bundle.files import CARD, MODEL, sha256
from fer.bundle.hub_card import hub_readme
from fer.bundle.registry import ZOO, find_bundle
from fer.core.errors import FerError
from fer.core.hub import parse_reference
from fer.predict.cli import main as predict

REPO = "ann/smile"
NAME = f"hf:{REPO}"
RUN = Path(__file__).resolve().parent.parent / "stored" / "run"


@pytest.fixture
def fer_models(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # The library waits between its attempts.
    monkeypatch.setattr(huggingface_hub.utils._http.time, "sleep", lambda _: None)

    def call(*arguments):
        with pytest.raises(SystemExit) as exit_:
            main([*map(str, arguments)])
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err

    return call


def push(hub, tmp_path, **options):  # noqa: F811
    """Put a bundle on the server by hand; return its bundle and commit."""
    bundle = write_bundle(tmp_path / f"bundle{len(hub.commits)}{len(options)}{time.time_ns()}", **options)
    files = {name: (bundle.folder / name).read_bytes() for name in (MODEL, CARD)}
    return bundle, hub.commit(REPO, files)


def error_line(error):
    """Return the message of an error in one line, without what the library prints of its progress."""
    lines = [line for line in error.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "Traceback" not in error
    return lines[0]


def metadata(readme):
    _, head, text = readme.decode().split("---\n", 2)
    return yaml.safe_load(head), text


def test_push_writes_all_files_in_one_commit(hub, fer_models, tmp_path):  # noqa: F811
    status, output, error = fer_models("push", "fer2013", NAME)
    assert status == 0, error
    files = hub.files(REPO)
    assert set(files) == {".gitattributes", MODEL, CARD, "README.md", "LICENSE", "config.json"}
    assert files[MODEL] == (ZOO / "fer2013" / MODEL).read_bytes()
    assert files[CARD] == (ZOO / "fer2013" / CARD).read_bytes()
    # The commit that made the repository, and one more.
    assert len(hub.commits[REPO]) == 2
    commit = hub.refs[REPO]["main"]
    assert f"{NAME}@{commit}" in output
    assert "without model.safetensors: the checkpoint is not beside the bundle; --run RUN" in output
    record = json.loads((tmp_path / "models" / "hub.jsonl").read_text())
    assert record["pushed"] == f"{NAME}@{commit}"
    assert record["sha256"] == sha256(ZOO / "fer2013" / MODEL)


def test_the_readme_has_the_metadata_of_the_hub(hub, fer_models):  # noqa: F811
    fer_models("push", "fer2013", NAME)
    head, text = metadata(hub.files(REPO)["README.md"])
    assert (head["license"], head["license_name"]) == ("other", "research-only")
    assert head["license_link"] == "LICENSE"
    assert head["datasets"] == ["fer2013", "ferplus"]
    assert {"onnx", "facial-expression-recognition", "fast_cnn", "int8"} <= set(head["tags"])
    (index,) = head["model-index"]
    (result,) = index["results"]
    assert result["dataset"] == {
        "name": "PublicTest (validation, selection split, n = 3,589)", "type": "fer2013",
        "split": "PublicTest", "args": {"n": 3589, "role": "validation, selection split"},
    }  # fmt: skip
    metrics = {metric["type"]: metric for metric in result["metrics"]}
    assert metrics["accuracy"]["value"] == 0.7233
    assert metrics["accuracy"]["args"]["interval_95"] == [0.7094, 0.737]
    assert metrics["expected_calibration_error"]["name"].endswith("cross-fitted")
    assert f"fer-predict photo.jpg --model {NAME}" in text
    assert "An expression is not a feeling" in text
    assert b"For research only" in hub.files(REPO)["LICENSE"]


def test_the_metadata_of_a_calibrated_model_is_of_its_own_figures(hub, tmp_path):  # noqa: F811
    from tiny_bundle import validation

    measured = validation(0.6, {}) | {"split": "mine (folder, all)", "n": 80, "selection_split": False}
    metrics = {
        "calibration": measured | {"cross_fitted": {"folds": 5, "figures": ["accuracy", "macro_f1"]}},
        "before_calibration": measured | {"of": "smile:1, before the calibration"},
    }
    bundle = write_bundle(tmp_path / "bundle", metrics=metrics)
    head, _ = metadata(hub_readme(bundle.card, parse_reference(NAME)).encode())
    (result,) = head["model-index"][0]["results"]
    assert result["dataset"]["name"] == "mine (folder, all) (calibration, n = 80)"
    assert result["dataset"]["type"] == "own-images"
    assert result["metrics"][0]["name"] == "accuracy, cross-fitted"
    # The terms of the tiny bundle do not say 'research'.
    assert head["license_name"] == "see-license-file"
    assert metadata(hub_readme(bundle.card, parse_reference(NAME), "mit").encode())[0]["license"] == "mit"


def test_a_run_adds_its_weights_which_load_again(hub, fer_models, tmp_path):  # noqa: F811
    import torch

    from fer import load_checkpoint

    status, output, error = fer_models("push", RUN, NAME)
    assert status == 0, error
    assert "model.safetensors" in output
    config = json.loads(hub.files(REPO)["config.json"])
    assert config["id2label"]["3"] == "happy"
    assert "/" not in json.dumps(config["checkpoint"]["hyper_parameters"]["config"].get("datamodule"))
    model, labels = load_checkpoint(NAME)
    expected, names = load_checkpoint(RUN)
    images = torch.rand(2, 1, 16, 16)
    assert torch.equal(model(images), expected(images))
    assert labels == names
    # A model of the registry finds its weights by the run that is named.
    bundle = find_bundle(RUN / "bundle")
    assert fer_models("push", bundle.folder, "hf:ann/other", "--run", RUN)[0] == 0
    assert "model.safetensors" in hub.files("ann/other")
    # Of another model they are refused, and those of an earlier push are deleted.
    status, _, error = fer_models("push", "fer2013", "hf:ann/other", "--run", RUN)
    assert status == 2
    assert "expected the weights of fer2013, got those of another model" in error_line(error)
    assert fer_models("push", "fer2013", "hf:ann/other")[0] == 0
    assert "model.safetensors" not in hub.files("ann/other")


def test_a_model_of_the_hub_predicts(hub, tmp_path, monkeypatch, capsys):  # noqa: F811
    bundle, commit = push(hub, tmp_path)
    faces = np.random.default_rng(0).integers(0, 255, (3, SIDE, SIDE, 3), np.uint8)
    loaded = Predictor(NAME, detector="none")
    np.testing.assert_array_equal(loaded.classifier(faces), Predictor(bundle).classifier(faces))
    assert loaded.model_name == f"{NAME}@{commit}"
    monkeypatch.chdir(tmp_path)
    from PIL import Image

    Image.fromarray(faces[0]).save("face.png")
    with pytest.raises(SystemExit) as exit_:
        predict(["face.png", "--model", f"{NAME}@main", "--detector", "none", "--json", "out.jsonl"])
    assert exit_.value.code == 0
    assert json.loads(Path("out.jsonl").read_text())["model"] == f"{NAME}@{commit}"
    assert f"model {NAME}@{commit}" in capsys.readouterr().out


def test_evaluation_and_app_take_names_of_the_hub(hub, tmp_path):  # noqa: F811
    from fer.app.cli import _model_reference
    from fer.app.resources import open_bundle
    from fer.app.settings import Settings
    from fer.evaluation.bundles import load_model

    bundle, commit = push(hub, tmp_path)
    run = load_model(NAME)
    assert run.model_sha256 == bundle.card.model["sha256"]
    assert commit in str(run.path)
    assert _model_reference(f"{NAME}@v1") == f"{NAME}@v1"
    assert open_bundle(None, Settings(model=NAME)).origin == f"{NAME}@{commit}"
    assert Settings(model=NAME).paths == (Settings.models,)


def test_the_cache_works_offline(hub, tmp_path, monkeypatch):  # noqa: F811
    _, commit = push(hub, tmp_path)
    find_bundle(NAME)
    hub.requests.clear()
    assert find_bundle(f"{NAME}@{commit}").origin == f"{NAME}@{commit}"
    assert not [request for request in hub.requests if request.startswith("GET")]
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert find_bundle(NAME).origin == f"{NAME}@{commit}"
    with pytest.raises(
        FerError, match="expected a connection to the Hub or a copy in its cache, got neither"
    ):
        find_bundle("hf:ann/other")
    # Also without the option: nobody answers.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert find_bundle(NAME).origin == f"{NAME}@{commit}"
    with pytest.raises(FerError, match="got neither"):
        find_bundle("hf:ann/other")


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("hf:ann/nothing", "expected a model on the Hub, got none of this name that you may use"),
        (f"{NAME}@v9", "expected a branch, tag or commit of this model, got 'v9'"),
        ("hf:ann/secret", "your token does not allow this .403."),
        ("hf:ann", "expected hf:owner/name or hf:owner/name@revision"),
        ("hf:ann/a--b", "expected a name that the Hub allows"),
        ("hf:ann/plain", "expected a model of fer-models push, got one without card.json"),
    ],
)
def test_mistakes_have_one_line(hub, tmp_path, fer_models, name, part):  # noqa: F811
    push(hub, tmp_path)
    hub.commit("ann/secret", {})
    hub.commit("ann/plain", {"model.bin": b"1"})
    hub.forbidden.add("ann/secret")
    status, _, error = fer_models("show", name)
    assert status == 2
    assert error_line(error).startswith(f"error: {name}: ")
    with pytest.raises(FerError, match=part):
        find_bundle(name)


def test_private_models_need_a_login(hub, tmp_path, monkeypatch):  # noqa: F811
    push(hub, tmp_path)
    hub.private.add(REPO)
    monkeypatch.setenv("HF_TOKEN", "")
    with pytest.raises(FerError, match="if it is private, log in with hf auth login, or set HF_TOKEN"):
        find_bundle(NAME)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    assert find_bundle(NAME).card.name == "tiny"


def test_a_revision_that_changed_is_refused(hub, tmp_path, fer_models):  # noqa: F811
    _, first = push(hub, tmp_path)
    hub.refs[REPO]["v1"] = first
    assert find_bundle(f"{NAME}@v1").origin.endswith(first)
    _, second = push(hub, tmp_path, seed=1)
    hub.refs[REPO]["v1"] = second
    status, _, error = fer_models("show", f"{NAME}@v1")
    assert status == 2
    line = error_line(error)
    assert "the revision was changed" in line
    assert f"{NAME}@{first}" in line
    # Both commits can be named, and the newest one is loaded without a revision.
    assert find_bundle(f"{NAME}@{first}").origin.endswith(first)
    assert find_bundle(NAME).origin.endswith(second)
    (tmp_path / "fer_cache" / "hub" / "hf%3Aann%2Fsmile@v1.json").unlink()
    assert find_bundle(f"{NAME}@v1").origin.endswith(second)


def test_a_file_that_differs_from_its_card_is_refused(hub, tmp_path):  # noqa: F811
    bundle, _ = push(hub, tmp_path)
    hub.commit(REPO, {CARD: (bundle.folder / CARD).read_bytes(), MODEL: b"another"})
    with pytest.raises(FerError, match=r"expected SHA-256 .* as on the card.* to download it again"):
        find_bundle(NAME)


def test_a_broken_download_leaves_nothing(hub, tmp_path, fer_models):  # noqa: F811
    _, commit = push(hub, tmp_path)
    hub.broken.add(MODEL)
    status, _, error = fer_models("show", NAME)
    assert status == 2
    assert "the connection to the Hub failed" in error_line(error)
    assert not list((tmp_path / "hf_cache").rglob(MODEL))
    hub.broken.clear()
    assert find_bundle(NAME).origin == f"{NAME}@{commit}"


@pytest.mark.parametrize("part", ["/lfs/", "/commit/", "/preupload/"])
def test_a_broken_push_changes_nothing(hub, fer_models, tmp_path, part):  # noqa: F811
    fer_models("push", "fer2013_48px", NAME)
    before = dict(hub.refs[REPO]), hub.files(REPO)
    record = (tmp_path / "models" / "hub.jsonl").read_text()
    hub.broken.add(part)
    status, _, error = fer_models("push", "fer2013", NAME)
    assert status == 2
    assert error_line(error).startswith(f"error: {NAME}: the connection to the Hub failed")
    assert (dict(hub.refs[REPO]), hub.files(REPO)) == before
    assert (tmp_path / "models" / "hub.jsonl").read_text() == record


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("fer2013", f"{NAME}@v1"), "expected hf:owner/name without a revision"),
        (("fer2013", "ann/smile"), "ann/smile: expected hf:owner/name"),
        (("fer2013", "hf:bob/model"), "your token does not allow this (403)"),
        (("fer2013", "hf:ann/plain"), "one with pytorch_model.bin. Choose another name"),
        (("fer2013", NAME, "--license", "mit"), "--license mit: expected other or a non-commercial licence"),
        (("fer2013", NAME, "--run", "."), "--run .: expected the folder of a run"),
        (("fer2013", "hf:ann/plain", "--private"), "--private: expected a new or private repository"),
    ],
)
def test_mistakes_of_a_push_change_nothing(hub, fer_models, arguments, part):  # noqa: F811
    hub.commit("ann/plain", {"pytorch_model.bin": b"1"})
    hub.forbidden.add("bob/model")
    status, _, error = fer_models("push", *arguments)
    assert status == 2
    assert part in error_line(error)
    assert set(hub.commits) == {"ann/plain"}


def test_a_push_needs_a_connection(hub, fer_models, monkeypatch):  # noqa: F811
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    status, _, error = fer_models("push", "fer2013", NAME)
    assert status == 2
    assert "expected a connection to the Hub, got none" in error_line(error)


def test_a_push_needs_a_login(hub, fer_models, monkeypatch):  # noqa: F811
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    status, _, error = fer_models("push", "fer2013", NAME)
    assert status == 2
    assert "expected a login on the Hub, got none" in error_line(error)
    monkeypatch.undo()


def test_without_the_library_a_line_says_what_to_install(fer_models, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    status, _, error = fer_models("show", NAME)
    assert status == 2
    assert "pip install 'fer-lightning[hub]'" in error_line(error)


def test_names_have_an_owner_and_a_revision():
    assert parse_reference("hf:a/b").revision is None
    assert parse_reference("hf:a/b@refs/pr/1").revision == "refs/pr/1"
    assert str(parse_reference("hf:a/b.c-d@v1")) == "hf:a/b.c-d@v1"


@pytest.mark.slow
def test_a_killed_push_leaves_no_half_model(hub, tmp_path):  # noqa: F811
    hub.broken.add("/commit/")
    command = [sys.executable, "-m", "fer.bundle.cli", "push", "fer2013", NAME]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE)
    while not any("/lfs/" in request for request in hub.requests):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert set(hub.files(REPO)) == {".gitattributes"}
    assert not (tmp_path / "models").exists()


@pytest.mark.slow
def test_a_killed_download_leaves_no_half_model(hub, tmp_path):  # noqa: F811
    _, commit = push(hub, tmp_path)
    hub.refs[REPO]["v1"] = commit
    hub.stalled.add(MODEL)
    environment = os.environ | {"HF_HUB_CACHE": str(tmp_path / "hf_cache")}
    process = subprocess.Popen(
        [sys.executable, "-m", "fer.bundle.cli", "show", f"{NAME}@v1"], cwd=tmp_path, env=environment,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not any(request.startswith("GET") and MODEL in request for request in hub.requests):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not list((tmp_path / "hf_cache").rglob(MODEL))
    assert not (tmp_path / "fer_cache").exists()
    hub.stalled.clear()
    assert find_bundle(f"{NAME}@v1").origin == f"{NAME}@{commit}"
