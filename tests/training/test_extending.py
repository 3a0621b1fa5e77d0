"""docs/extending.md: each of its files and commands, on a few synthetic faces."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from own_parts import forget_plugins as forget_plugins
from tiny import TINY_FACES

from fer.core.labels import FER7

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "extending.md").read_text()
SECTIONS = {part.partition("\n")[0]: part for part in PAGE.split("\n## ")[1:]}
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
KINDS = [title for title, text in SECTIONS.items() if "@fer.register_" in text]
SHORT = ("trainer.max_epochs=1", "datamodule.batch_size=16")


def blocks(section, *languages):
    return [code for language, code in BLOCK.findall(SECTIONS[section]) if language in languages]


def write_files(section):
    """Write the files of a section into the current folder."""
    for code in blocks(section, "python", "yaml"):
        path = Path(code.partition("\n")[0].removeprefix("# "))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)


def commands(section):
    return [shlex.split(line) for code in blocks(section, "bash") for line in code.splitlines()]


def test_every_kind_has_a_section_of_code_below_thirty_lines():
    decorators = re.findall(r"^\| `fer\.(register_\w+)`", PAGE, re.MULTILINE)
    used = [re.search(r"@fer\.(register_\w+)", SECTIONS[title])[1] for title in KINDS]
    assert used == decorators
    for title in KINDS:
        assert len("".join(blocks(title, "python", "yaml")).splitlines()) < 30


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("forget_plugins")
def test_the_files_and_commands_of_a_kind(kind, fer_train, capsys):
    write_files(kind)
    rng = np.random.default_rng(0)
    faces = {"images": rng.integers(0, 256, (140, 48, 48), np.uint8), "labels": np.tile(FER7.names, 20)}
    np.savez("faces.npz", **faces)
    for program, *arguments in commands(kind):
        assert program == "fer-train"
        data = () if any("datamodule=" in item for item in arguments) else TINY_FACES
        # Options of argparse may not stand between the overrides, of which the fixture adds some.
        flags = arguments[:2] if arguments[0] == "--config-dir" else []
        run = fer_train(*data, *SHORT, *arguments[len(flags) :], *flags)
        assert run.status == 0, capsys.readouterr().err
        best = run.record["best"]
    assert ("val/top2" in best) == (kind == "Metric")
    assert ("val/weight_norm" in best) == (kind == "Callback")
    module = next(item for item in arguments if item.startswith("plugins=")).partition("=")[2].strip("[]")
    assert f"- {module}\n" in (run.folder / "config.yaml").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("forget_plugins")
def test_the_commands_after_the_training(fer_train, fer_evaluate, fer_export, capsys):
    write_files("Model")
    own = ["plugins=[my_project.models]", "model=tiny_net"]
    runs = [fer_train(*TINY_FACES, *SHORT, *own, f"seed={seed}").folder for seed in (0, 1)]
    folders = {"RUN": str(runs[0]), "OTHER": str(runs[1])}
    from fer.evaluation.cli import compare_main

    for program, *arguments in commands("After the training"):
        arguments = [folders.get(item, item) for item in arguments]
        if program == "fer-evaluate":
            assert fer_evaluate(*arguments)[0] == 0
        elif program == "fer-compare":
            with pytest.raises(SystemExit) as exit_:
                compare_main([*arguments, "--no-speed"])
            assert exit_.value.code == 0
        elif program == "fer-export":
            assert fer_export(*arguments)[0] == 0
        elif "-m" not in arguments:
            # The run has finished, which is checked after its plugins.
            run = fer_train(*[item.replace("=RUN", f"={runs[0]}") for item in arguments])
            assert run.status == 2
            assert "this run has finished" in capsys.readouterr().err
    assert (runs[0] / "bundle" / "model.onnx").is_file()
