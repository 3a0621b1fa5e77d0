"""Every command of the documentation runs, or stands in a table with the reason why it does not.

`docs_text` finds the commands, `docs_workspace` makes what they name (RUN, photo.jpg, …), and `docs_calls`
calls them in this process, cut in size. A command without an option that is new has its options checked.
"""

import os
import re
from importlib.util import find_spec

import pytest
import yaml
from conf_options import options_page
from docs_calls import SCRIPTS, arguments, call, check, first_with_an_option, is_ours, options_of
from docs_text import ROOT, commands, inline_code, inline_commands, pages

# Pages whose commands another test runs: all of them, with their files.
ELSEWHERE = {"docs/extending.md": "tests/training/test_extending.py"}
# Programs of others, and what a reader puts in: beginning of the command -> why it does not run here.
OTHERS = {
    "pip": "installs packages; tests/test_environments.py does so in fresh environments",
    "uv": "builds and installs; tests/test_packaging.py",
    "uvx": "downloads a tool",
    "git clone": "needs the network",
    "npm": "needs the network",
    "cd": "no command of a test",
    "export": "sets a variable of the shell",
    "ls": "lists a folder",
    "find": "synchronises with W&B",
    "podman": "needs a container engine; tests/test_packaging.py reads the Containerfile",
    "hf": "needs an account",
    "wandb": "needs an account, or a terminal",
    "tensorboard": "runs until it is stopped",
    "torchrun": "needs several machines",
    "srun": "needs a Slurm cluster",
    "pytest": "runs these tests",
    "ruff": "is a step of .ci/run",
    "mypy": "is a step of .ci/run",
    "mkdocs": "runs until it is stopped; tests/docs/test_site_build.py",
    "pre-commit": "changes the hooks of the clone",
    ".ci/run": "runs these tests",
    "python -m http.server": "runs until it is stopped",
    "COMMAND": "stands for each command",
    "fer-train GROUP=CHOICE": "stands for each option",
}
# Commands of this package that only have their options and config checked: pattern -> why.
CHECKED = {
    r"fer-train -m (?!optimizer=adam,adamw seed=)": "many trainings; tests/sweep runs sweeps and grids",
    r"fer-train trainer=ddp": "several processes; tests/training/test_ddp.py",
    r"fer-train trainer=gpu|fer2013_gpu": "needs a GPU",
    r"fer-train experiment=transfer_": "downloads weights; tests/models/test_pretrained.py",
    r"landmarks=yunet": "detects faces for many seconds; tests/training/test_aligned_runs.py",
    r"MLFlowLogger": "needs MLflow",
    r"fer-train .*logger=wandb": "starts W&B's process; tests/training/test_wandb_options.py",
    r"--logger wandb": "starts W&B's process; tests/evaluation/test_report_logging.py",
    r"^fer-app": "runs until it is stopped; tests/app",
    r"^fer-predict 0": "needs a camera; tests/predict/video",
    r"^fer-predict rtsp:": "needs a camera in the network; tests/predict/video",
    r"--device cuda": "needs a GPU",
    r"hf:": "needs the network; tests/bundle/test_hub.py",
    r"--runtime .*\.tgz": "needs the file of npm pack; tests/web",
    r"--format openvino": "needs OpenVINO; tests/export/test_plain_export.py",
    r"fer-benchmark( fer2013 RUN/bundle.*)?$": "measures for seconds; others with --onnx and --data run",
    r"fer-benchmark --torch": "compiles in torch for many seconds; tests/benchmark",
    r"fer-sweep-report .*--confirm": "many trainings; tests/sweep/report/test_confirm.py",
    r"scripts/ablate\.py": "many trainings",
    r"scripts/(add_result|result_tables)\.py": "writes into docs/; tests/docs/test_results.py",
    r"scripts/benchmark_gpu\.py": "ten minutes; tests/test_scripts.py",
    r"scripts/wandb_workspace\.py (?!.*--dry-run)": "needs an account; tests/sweep/test_wandb_runs.py",
}
# Options in sentences that other programs have.
OPTIONS_OF_OTHERS = {"--tmpfs", "--network", "--cfg", "--config-dir"}
# Arguments of Python, and overrides with keys that no file of conf/ lists.
PYTHON_VALUE = re.compile("=(True|False|dm\\..*)$")
OPEN = ("hydra.", "model.kwargs.")
NEEDS_YUNET = re.compile(r"yunet|--web|fer-models web")
NEEDS_RAY = re.compile(r"launcher=ray")


def _starts(line, name):
    return line.words[: len(name.split())] == tuple(name.split())


def _is_other(line):
    return any(_starts(line, name) for name in OTHERS)


def _is_checked(line):
    return any(re.search(pattern, str(line)) for pattern in CHECKED)


LINES = [line for line in commands() if line.place.rpartition(":")[0] not in ELSEWHERE]
OWN = [line for line in LINES if is_ours(line) and not _is_other(line)]
# A command runs if it has an option that no command before it has.
RUN = first_with_an_option([line for line in OWN if not _is_checked(line)])
CHECK = first_with_an_option([line for line in OWN if _is_checked(line)])
PARSE = [line for line in OWN if line not in RUN and line not in CHECK]


@pytest.fixture
def here(workspace, tmp_path, monkeypatch, request):
    """Make a copy of the workspace for this command the current folder."""
    from docs_workspace import copy_workspace

    line = request.getfixturevalue("line")
    if NEEDS_YUNET.search(str(line)) and not os.environ.get("FER_YUNET_MODEL"):
        pytest.skip("FER_YUNET_MODEL is not set to YuNet's file")
    if NEEDS_RAY.search(str(line)) and find_spec("ray") is None:
        pytest.skip("needs Ray")
    copy_workspace(workspace, tmp_path / "work", line)
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.mark.slow
@pytest.mark.parametrize("line", RUN, ids=str)
@pytest.mark.usefixtures("dots", "exported_once")
def test_a_command_runs(line, here, capsys):
    assert call(line, arguments(line, here / "HOME")) == 0, f"{line.place}: {capsys.readouterr().err[-2000:]}"


@pytest.mark.slow
@pytest.mark.parametrize("line", CHECK, ids=str)
@pytest.mark.usefixtures("dots")
def test_a_command_is_right_up_to_its_work(line, here, capsys):
    assert check(line, arguments(line, here / "HOME")) == 0, (
        f"{line.place}: {capsys.readouterr().err[-2000:]}"
    )


@pytest.mark.slow
@pytest.mark.parametrize("line", PARSE, ids=str)
def test_a_command_like_one_before_has_the_right_options(line, here, capsys):
    status = check(line, arguments(line, here / "HOME"), trials=False)
    assert status == 0, f"{line.place}: {capsys.readouterr().err[-2000:]}"


def test_every_command_is_known():
    unknown = [f"{line.place}: {line}" for line in LINES if not is_ours(line) and not _is_other(line)]
    assert unknown == [], "Run it, or add it to OTHERS with a reason."


def test_the_tables_have_no_unused_rows():
    assert [name for name in OTHERS if not any(_starts(line, name) for line in LINES)] == []
    assert [pattern for pattern in CHECKED if not any(re.search(pattern, str(line)) for line in OWN)] == []


def test_the_tables_name_tests_that_exist():
    for text in (*OTHERS.values(), *CHECKED.values(), *ELSEWHERE.values()):
        for path in re.findall(r"tests/[\w/.]+", text):
            assert (ROOT / path).exists(), path


def test_files_of_the_repository_that_commands_name_exist():
    for line in LINES:
        for word in line.words:
            if re.match(r"(scripts|docs|conf|tests|\.ci)/", word):
                assert (ROOT / word).exists(), f"{line.place}: {word}"


@pytest.mark.slow
def test_subcommands_of_other_programs_exist():
    from torch.distributed.run import get_args_parser
    from wandb.cli.cli import cli

    for line in LINES:
        if line.program == "wandb":
            assert line.words[1] in cli.commands, line.place
        if line.program == "torchrun":
            assert get_args_parser().parse_args(list(line.words[1:])).nproc_per_node == "4"


@pytest.mark.parametrize("line", inline_commands(), ids=str)
def test_the_options_in_a_sentence_exist(line):
    """Words that stand for others, and missing arguments, are allowed."""
    for option in (word for word in line.words[1:] if word.startswith("--")):
        if line.program != "fer-train":
            assert option in options_of(line.program), line.place


@pytest.mark.slow
def test_options_in_sentences_exist():
    """An option without its command, such as `--faces`."""
    scripts = {line.words[1] for line in OWN if line.program == "python" and line.words[1] != "-c"}
    programs = [*(program for program in SCRIPTS if program != "fer-train"), *scripts]
    known = OPTIONS_OF_OTHERS.union(*map(options_of, programs))
    for page in pages():
        for text in inline_code(page):
            if re.fullmatch(r"--[a-z][a-z0-9-]*( \S+)?", text):
                assert text.split()[0] in known, f"{page}: {text}"


def test_overrides_in_sentences_exist():
    """An override of fer-train, such as `optimizer=muon` or `datamodule.drop_leaks=true`."""
    listed = set(re.findall(r"`([\w.]+(?:=\w+)?)`", options_page()))
    sweep = yaml.safe_load((ROOT / "conf" / "sweep" / "custom.yaml").read_text())["sweep"]
    listed |= {f"sweep.{key}" for key in (*sweep, *(f"pruner.{key}" for key in sweep["pruner"]))}
    keys = {part for key in listed for part in (key, key.partition("=")[0], key.rpartition(".")[2])}
    groups = {path.name for path in (ROOT / "conf").iterdir() if path.is_dir()}
    unknown = []
    for page in pages():
        for text in inline_code(page):
            match = re.fullmatch(r"([a-z_]+(?:\.[a-z_]+)*)=([\w./@-]*)", text)
            if not match or PYTHON_VALUE.search(text) or text.startswith(OPEN):
                continue
            is_choice = match[1] in groups and re.fullmatch(r"[a-z]\w+", match[2])
            if (text if is_choice else match[1]) not in keys:
                unknown.append(f"{page}: {text}")
    assert unknown == []
