"""Reference of all options of `fer-train`, from the files of ``conf/`` and their comments."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from repository_links import ROOT

CONF = ROOT / "conf"
# Groups whose files set options of other groups; their files are shown as they are.
RECIPES = ("experiment", "sweep", "debug", "proxy")
TITLES = {
    "datamodule": "Data sets",
    "model": "Models",
    "attention": "Attention",
    "loss": "Losses",
    "imbalance": "Rare emotions",
    "optimizer": "Optimizers",
    "scheduler": "Learning-rate schedules",
    "augmentation": "Augmentation",
    "mix": "Mixing of images",
    "trainer": "Trainer",
    "callbacks": "Callbacks",
    "logger": "Loggers",
    "experiment": "Experiments",
    "sweep": "Sweeps",
    "debug": "Debugging",
    "proxy": "Proxies of sweeps",
}
_ADDRESS = re.compile(r"(?<![<(])https?://[^\s,;)]*[^\s,;).:]")
_PAGE = re.compile(r"\bdocs/((?:[\w-]+/)*([\w-]+))\.md\b")
_DECISION = re.compile(r"\bdocs/decisions/(\d{4})\b(?!-)")


@dataclass
class ConfigFile:
    """A file of ``conf/``.

    Attributes:
        name: What is written after ``group=``.
        text: Its description: the comment at its top.
        bases: Files whose values it takes over.
        options: Its own options: key below the group -> (value as it stands in the file, comment).
    """

    name: str
    text: str
    bases: list[str] = field(default_factory=list)
    options: dict[str, tuple[str, str]] = field(default_factory=dict)


def options_page() -> str:
    """Return the Markdown of the options of all groups."""
    parts = ["## Of the run", _own_options(read(CONF / "train.yaml"))]
    for group, title in TITLES.items():
        parts.append(f"## {title}: `{group}=` {{ #{group} }}")
        parts.append(_recipes(group) if group in RECIPES else _group(group))
    return "\n\n".join(parts)


def groups() -> dict[str, list[Path]]:
    """Return the files of each group."""
    return {
        folder.name: sorted(folder.glob("*.yaml")) for folder in sorted(CONF.iterdir()) if folder.is_dir()
    }


def read(path: Path) -> ConfigFile:
    """Read a file of ``conf/`` with its comments."""
    source = path.read_text()
    lines = source.split("\n")
    node = yaml.compose(source)
    first = node.start_mark.line if isinstance(node, yaml.MappingNode) and node.value else len(lines)
    top = [line[1:].strip() for line in lines[:first] if line.startswith("#") and "@package" not in line]
    file = ConfigFile(path.stem, " ".join(top))
    if not isinstance(node, yaml.MappingNode):
        return file
    for key, value in node.value:
        if key.value == "defaults":
            file.bases = [item.value for item in value.value if isinstance(item, yaml.ScalarNode)]
        elif key.value != "hydra":
            file.options |= dict(_options(key, value, lines, first, ""))
    file.bases = [base for base in file.bases if base != "_self_"]
    return file


def _options(
    key: yaml.Node, value: yaml.Node, lines: list[str], first: int, prefix: str
) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield the options at and below a key."""
    name = f"{prefix}{key.value}"
    block = isinstance(value, yaml.MappingNode) and not value.flow_style
    end = key.end_mark if block else value.end_mark
    after = lines[end.line][end.column :].lstrip(": ")
    comments = [after[1:].strip()] if after.startswith("#") else []
    line = key.start_mark.line - 1
    while line >= first and lines[line].strip().startswith("#"):
        comments.insert(0, lines[line].strip()[1:].strip())
        line -= 1
    comment = " ".join(comments)
    if not block:
        start, stop = value.start_mark, value.end_mark
        text = lines[start.line][start.column : stop.column] if start.line == stop.line else "…"
        yield name, (text, comment)
        return
    if comment:
        yield name, ("", comment)
    for inner, content in value.value:
        yield from _options(inner, content, lines, first, f"{name}.")


def _own_options(file: ConfigFile) -> str:
    rows = [(f"`{name}`", _code(value), prose(text)) for name, (value, text) in file.options.items()]
    return _table(("option", "default", "meaning"), rows)


def _group(group: str) -> str:
    """Return the choices of a group, then its options with their values in each choice."""
    files = [read(path) for path in groups()[group]]
    choices = [(f"`{group}={file.name}`", _description(file)) for file in files]
    names = dict.fromkeys(name for file in files for name in file.options)
    rows = [(f"`{group}.{name}`", *_values(name, files)) for name in names if name != "name"]
    tables = [_table(("choice", "description"), choices)]
    if rows:
        tables.append(_table(("option", "default", "meaning"), rows))
    return "\n\n".join(tables)


def _description(file: ConfigFile) -> str:
    bases = f" Based on {', '.join(f'`{base}`' for base in file.bases)}." if file.bases else ""
    name = file.options.get("name", ("", ""))[1]
    return (prose(" ".join(filter(None, (file.text, name)))) + bases).strip()


def _values(name: str, files: list[ConfigFile]) -> tuple[str, str]:
    """Return the default of an option and its meaning, by choice where choices differ."""
    having = [file for file in files if name in file.options]
    by_value: dict[str, list[str]] = {}
    by_text: dict[str, list[str]] = {}
    for file in having:
        value, text = file.options[name]
        by_value.setdefault(value, []).append(file.name)
        if text:
            by_text.setdefault(text, []).append(file.name)
    independent = [file for file in files if not file.bases]
    everywhere = len(having) >= len(independent)
    values = [
        _code(value) + ("" if len(by_value) == 1 and everywhere else f" ({', '.join(choices)})")
        for value, choices in by_value.items()
    ]
    texts = [
        prose(text) + ("" if len(by_text) == 1 else f" ({', '.join(choices)})")
        for text, choices in by_text.items()
    ]
    return "<br>".join(values), "<br>".join(texts)


def _recipes(group: str) -> str:
    """Return the files of a group as code that can be folded out."""
    parts = []
    for path in groups()[group]:
        file = read(path)
        lines = path.read_text().split("\n")
        code = "\n".join(f"    {line}".rstrip() for line in lines if "@package" not in line).rstrip()
        parts.append(
            f"**`{group}={file.name}`** {prose(file.text)}\n\n"
            f'??? note "conf/{group}/{path.name}"\n\n    ```yaml\n{code}\n    ```'
        )
    return "\n\n".join(parts)


def prose(comment: str) -> str:
    """Return a comment as Markdown of a table cell, with links."""
    text = comment.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")
    text = _ADDRESS.sub(lambda found: f"<{found[0].replace(chr(92), '')}>", text)
    text = _DECISION.sub(_decision, text)
    return _PAGE.sub(r"[\2](../\1.md)", text)


def _decision(found: re.Match[str]) -> str:
    path = next((ROOT / "docs" / "decisions").glob(f"{found[1]}-*.md"))
    return f"[decision {int(found[1])}](../decisions/{path.name})"


def _code(value: str) -> str:
    return f"`{value.replace('|', chr(92) + '|')}`" if value else ""


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f'<div class="stack" markdown>\n\n{table}\n\n</div>'
