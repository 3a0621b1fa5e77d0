"""HTML made of nested calls. Whatever was not made here is text, and is escaped: nothing can be forgotten."""

import re
from html import escape

_VOID = {"meta", "img"}
# The parser of HTML has no place for these: unprintable characters, and halves of a surrogate pair, as a file
# name holds them whose bytes are no UTF-8.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


class Markup(str):
    """HTML that is whole and safe, as `tag` returns it."""


def text(words: str) -> Markup:
    """Escape ``words``; the text of an element or the value of an attribute, quotes included."""
    return Markup(escape(_UNPRINTABLE.sub("�", words)))


def join(parts: "list[Markup]") -> Markup:
    """Set HTML end to end, an element a line."""
    return Markup("\n".join(parts))


def tag(name: str, /, *children: str, **attributes: str | int | None) -> Markup:
    """Return an element.

    Args:
        name: Of the element.
        children: `Markup` goes in as it is, any other string as text.
        attributes: Values are escaped, ``None`` leaves one out; ``class_`` is class, ``_`` is a hyphen.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = "".join(child if isinstance(child, Markup) else text(child) for child in children)
    return Markup(f"<{name}{written}>" + ("" if name in _VOID else f"{inside}</{name}>"))
