"""Make links to files of the repository work on the site.

Pages link to other files of the repository by relative paths, as GitHub wants it: ``../conf/train.yaml``.
Linked text files become pages of the site, so that it is complete without a network.
"""

import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Files that are a page of the site under another name; a folder ends in a slash.
PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "docs/": "index.md"}
LANGUAGES = {
    ".py": "python",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".toml": "toml",
    ".json": "json",
    ".sh": "bash",
}
_FENCE = re.compile(r"^ *(`{3,}|~{3,})")
_LINK = re.compile(r"(?<=\]\()(?P<target>[^)\s#]+)(?P<anchor>#[^)\s]*)?(?=[)\s])")
_ADDRESS = re.compile(r"^[a-z][a-z0-9+.-]*:")


def source_page(path: str) -> str:
    """Return the page of the site that shows a file of the repository."""
    return f"source/{path}.md"


def source_text(path: str) -> str:
    """Return the Markdown of that page: the file as highlighted code."""
    text = (ROOT / path).read_text()
    fence = "`" * max(4, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    language = LANGUAGES.get(Path(path).suffix, "text")
    hidden = "---\nsearch: {exclude: true}\n---\n\n"
    return (
        f"{hidden}# {Path(path).name}\n\n`{path}` in the repository.\n\n{fence}{language}\n{text}\n{fence}\n"
    )


def linked_files(markdown: str, folder: str) -> set[str]:
    """Return the files outside ``docs/`` that a text links to.

    Args:
        markdown: The text.
        folder: Folder of the text in the repository, such as ``docs/start``.
    """
    found: set[str] = set()
    for line in _lines_of_prose(markdown):
        for link in _LINK.finditer(line):
            path = _path_in_repository(link["target"], folder)
            if path and path not in PAGES and not path.startswith("docs/") and (ROOT / path).is_file():
                found.add(path)
    return found


def rewrite(markdown: str, folder: str, page: str) -> str:
    """Return a text with its links to files of the repository as links between pages.

    A link to a file that does not exist stays as it is, and a strict build reports it.

    Args:
        markdown: The text.
        folder: Folder of the text in the repository.
        page: Path of the page on the site.
    """

    def replaced(link: re.Match[str]) -> str:
        path = _path_in_repository(link["target"], folder)
        target = _page_of(path) if path else None
        if target is None:
            return link[0]
        return posixpath.relpath(target, posixpath.dirname(page) or ".") + (link["anchor"] or "")

    return _map_prose(markdown, lambda line: _LINK.sub(replaced, line))


def _page_of(path: str) -> str | None:
    """Return the page of a file of the repository, or None if there is none."""
    if path in PAGES:
        return PAGES[path]
    if (ROOT / path).is_dir() and (ROOT / path / "index.md").is_file():
        path = posixpath.join(path, "index.md")
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return source_page(path) if (ROOT / path).is_file() else None


def _path_in_repository(target: str, folder: str) -> str | None:
    """Return the path of a link's target in the repository, or None for another host."""
    if _ADDRESS.match(target) or target.startswith("/"):
        return None
    path = posixpath.normpath(posixpath.join(folder, target))
    return f"{path}/" if f"{path}/" in PAGES else path


def _map_prose(markdown: str, change: Callable[[str], str]) -> str:
    """Return a text whose lines outside fenced code are changed."""
    lines, fence = [], ""
    for line in markdown.split("\n"):
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and line.strip() == fence:
            fence = ""
        lines.append(line if fence or mark else change(line))
    return "\n".join(lines)


def _lines_of_prose(markdown: str) -> Iterator[str]:
    """Yield the lines outside fenced code."""
    lines: list[str] = []
    _map_prose(markdown, lambda line: lines.append(line) or line)
    yield from lines
