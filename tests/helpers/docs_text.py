"""The fenced blocks of the documentation, and the commands in them."""

import re
import shlex
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```[ ]*$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
# Words before the name of a command.
_UV_RUN = re.compile(r"^uv run (--extra \w+ )?")


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, the line of its fence, its language and its code."""

    page: str
    line: int
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Line:
    """A command of a page: its words without ``uv run``, and the first place where it stands."""

    words: tuple[str, ...]
    place: str

    @property
    def program(self) -> str:
        return self.words[0].rpartition("/bin/")[2]

    def __str__(self) -> str:
        return shlex.join(self.words).replace("'", "")


def pages() -> list[str]:
    """Return the paths of README, CONTRIBUTING and all pages but the decisions."""
    found = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").rglob("*.md"))]
    return ["README.md", "CONTRIBUTING.md", *(path for path in found if "/decisions/" not in path)]


def blocks(page: str, *languages: str) -> list[Block]:
    """Return the blocks of a page in these languages, without their indentation."""
    text = (ROOT / page).read_text()
    return [
        Block(page, text.count("\n", 0, match.start()) + 1, match[2], textwrap.dedent(match[3]))
        for match in _FENCE.finditer(text)
        if match[2] in languages
    ]


def inline_code(page: str) -> list[str]:
    """Return the code spans of a page outside its blocks."""
    return _INLINE.findall(_FENCE.sub("", (ROOT / page).read_text()))


def commands() -> list[Line]:
    """Return the distinct commands of all bash blocks; ``a && b`` is two commands."""
    found: dict[tuple[str, ...], Line] = {}
    for page in pages():
        for block in blocks(page, "bash"):
            for text in block.code.replace("\\\n", " ").splitlines():
                for words in _split(text):
                    found.setdefault(words, Line(words, str(block)))
    return list(found.values())


def inline_commands() -> list[Line]:
    """Return the distinct commands with arguments in code spans, such as `fer-export RUN --int8`."""
    found: dict[tuple[str, ...], Line] = {}
    for page in pages():
        for text in inline_code(page):
            if re.match(r"(uv run )?fer-[a-z-]+ \S", text):
                for words in _split(text):
                    found.setdefault(words, Line(words, page))
    return list(found.values())


def _split(text: str) -> list[tuple[str, ...]]:
    commands: list[list[str]] = [[]]
    for word in shlex.split(_UV_RUN.sub("", text.strip()).replace("&& uv run ", "&& "), comments=True):
        if word == "&&":
            commands.append([])
        elif word not in ("...", "…"):
            commands[-1].append(word)
    return [tuple(words) for words in commands if words]
