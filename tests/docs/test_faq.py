"""docs/faq.md: short answers, with commands that exist."""

import functools
import importlib
import re
import shlex
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
QUESTIONS = dict(
    part.split("\n", 1) for part in (ROOT / "docs" / "faq.md").read_text().split("\n## ")[1:]
)  # fmt: skip
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
# They are answered without a command.
WITHOUT_COMMAND = {"Is it legal to use it at work or at school?", "Does it know what people feel?"}


def find_commands():
    for question, answer in QUESTIONS.items():
        for language, code in BLOCK.findall(answer):
            lines = code.replace("\\\n", " ").splitlines() if language == "bash" else ()
            for line in lines:
                words = shlex.split(line.replace("uv run ", ""), comments=True)
                if words and words[0].startswith("fer-"):
                    yield pytest.param(words, id=f"{question}: {shlex.join(words)}")


COMMANDS = list(find_commands())


@functools.cache
def help_of(command, *subcommand):
    """Return what a command prints with --help."""
    module, _, name = SCRIPTS[command].partition(":")
    with pytest.MonkeyPatch.context() as patch:
        lines = []
        patch.setattr("sys.argv", [command, *subcommand, "--help"])
        patch.setattr("sys.stdout", type("Stdout", (), {"write": lines.append, "flush": lambda self: None})())
        with pytest.raises(SystemExit):
            getattr(importlib.import_module(module), name)()
    return "".join(lines)


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_is_short_and_begins_with_its_command(question):
    answer = QUESTIONS[question].strip()
    assert answer.startswith("```") or question in WITHOUT_COMMAND
    # Python-Markdown makes a heading of it.
    assert not re.search(r"^#\S", BLOCK.sub("", answer), re.MULTILINE)
    text = BLOCK.sub("", answer).split("\nAsked in")[0]
    assert 2 <= len([line for line in text.splitlines() if line.strip()]) <= 9


@pytest.mark.parametrize("words", COMMANDS)
def test_the_options_of_a_command_exist(words):
    command, *arguments = words
    subcommand = arguments[:1] if command == "fer-models" else []
    for option in (item for item in arguments if item.startswith("--")):
        assert f"{option} " in help_of(command, *subcommand) or f"{option}\n" in help_of(command, *subcommand)


@pytest.mark.parametrize("words", [item for item in COMMANDS if item.values[0][0] == "fer-train"])
def test_the_config_of_a_training_exists(words, monkeypatch):
    import hydra
    from hydra.core.hydra_config import HydraConfig

    from fer.core.paths import CONFIG_DIR

    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)
    overrides = [item.replace("seed=0,1,2", "seed=0") for item in words[1:] if item != "-m"]
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        hydra.compose("train", overrides)
