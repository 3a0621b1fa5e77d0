"""Build HTML from nested function calls. Every string that is not `Markup` is escaped."""

import re
from html import escape

_VOID = {"meta", "img"}
# Not allowed in HTML: control characters, and lone surrogates, which occur in file names that are not UTF-8.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


class Markup(str):
    """Complete, safe HTML, as `tag` returns it."""


def escape_text(text: str) -> Markup:
    """Escape the text of an element or the value of an attribute, quotes included."""
    return Markup(escape(_UNPRINTABLE.sub("�", text)))


def join(parts: "list[Markup]") -> Markup:
    """Join elements, one per line."""
    return Markup("\n".join(parts))


def tag(name: str, /, *children: str, **attributes: str | int | None) -> Markup:
    """Return an element.

    Args:
        name: Of the element.
        children: `Markup` is inserted as it is, any other string is escaped.
        attributes: Values are escaped; ``None`` omits the attribute. ``class_`` is class, ``_`` is a hyphen.
    """
    attribute_text = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape_text(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    content = "".join(child if isinstance(child, Markup) else escape_text(child) for child in children)
    return Markup(f"<{name}{attribute_text}>" + ("" if name in _VOID else f"{content}</{name}>"))
