"""Events of MkDocs: pages that are generated from the code, and links to files of the repository.

A page contains the line ``<!-- generated: NAME -->`` where the text of a generator goes, so that the page
says on GitHub, too, what it is about.
"""

import os
import posixpath
import re
from pathlib import Path

from card_schema import schema_table
from command_help import commands_page
from conf_options import options_page
from decision_list import decisions_list
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File
from model_zoo import landing_numbers, zoo_emotions, zoo_table
from repository_links import ROOT, linked_files, rewrite, source_page, source_text

GENERATORS = {
    "card": schema_table,
    "commands": commands_page,
    "decisions": decisions_list,
    "numbers": landing_numbers,
    "options": options_page,
    "zoo": zoo_table,
    "zoo-emotions": zoo_emotions,
}
# Beginning of a page's path -> its weight in the search, 1 without one. Guides answer most questions; a
# decision or a list of options mentions every word of them.
SEARCH_BOOSTS = {
    "start/": 1.6,
    "faq": 1.6,
    "concepts/": 0.7,
    "glossary": 0.5,
    "field": 0.5,
    "methods": 0.5,
    "optimizers": 0.5,
    "results": 0.5,
    "robustness": 0.5,
    "speed": 0.5,
    "zoo": 0.5,
    "reference/": 0.1,
    "decisions/": 0.05,
    "changelog": 0.05,
    "release": 0.05,
    "source/": 0.05,
}
log = get_plugin_logger("fer")
_MARK = re.compile(r"^<!-- generated: (?P<name>[\w-]+) -->$", re.MULTILINE)


def on_config(config):
    """Put all decisions into the navigation, and show versions in a build of `mike`."""
    config.nav = [_with_folders(item, Path(config.docs_dir)) for item in config.nav]
    if os.environ.get("MIKE_DOCS_VERSION"):
        config.extra["version"] = {"provider": "mike"}
    return config


def on_files(files, config):
    """Add the change log, and a page for each file of the repository that a page links to."""
    changes = (ROOT / "CHANGELOG.md").read_text()
    files.append(File.generated(config, "changelog.md", content=rewrite(changes, "", "changelog.md")))
    linked = linked_files(changes, "")
    for file in files.documentation_pages():
        linked |= linked_files(file.content_string, _folder(file.src_uri))
    for path in sorted(linked):
        files.append(File.generated(config, source_page(path), content=source_text(path)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Weigh the page in the search, fill in generated text, and rewrite links."""
    boosts = [boost for start, boost in SEARCH_BOOSTS.items() if page.file.src_uri.startswith(start)]
    page.meta.setdefault("search", {"boost": next(iter(boosts), 1)})
    if page.file.generated_by:
        return markdown
    filled = _MARK.sub(lambda mark: _generate(mark["name"], page.file.src_uri), markdown)
    return rewrite(filled, _folder(page.file.src_uri), page.file.src_uri)


def _generate(name, page):
    """Return the text of a generator."""
    if name not in GENERATORS:
        log.warning(f"{page}: expected one of {', '.join(GENERATORS)} after 'generated:', got {name!r}.")
        return ""
    return GENERATORS[name]()


def _folder(page):
    """Return the folder in the repository of a page."""
    return posixpath.join("docs", posixpath.dirname(page)).rstrip("/")


def _with_folders(item, docs):
    """Return a navigation item in which ``folder/*.md`` stands for the numbered pages of that folder."""
    if isinstance(item, dict):
        return {title: _with_folders(value, docs) for title, value in item.items()}
    if isinstance(item, list):
        pages = []
        for entry in item:
            many = isinstance(entry, str) and "*" in entry
            pages += (
                [path.relative_to(docs).as_posix() for path in sorted(docs.glob(entry))]
                if many
                else [_with_folders(entry, docs)]
            )
        return pages
    return item
