"""Names for other systems: each function returns a name that the system accepts, for any text.

A name that is accepted as it is stays unchanged. The rules are those of Windows and Linux for file names, and
of the ``wandb`` package for ids, artifacts, tags and projects.
"""

import hashlib
import re
import shlex
import unicodedata

# Bytes of a file name. Linux allows 255; a run folder also has a time and a number in its name.
MAX_FILE_NAME = 160
# Characters that W&B accepts.
MAX_WANDB_ID, MAX_WANDB_TAG, MAX_WANDB_NAME = 64, 64, 128
_NOT_IN_WANDB_PROJECT = re.compile(r"[/\\#?%:\x00-\x1f\x7f]")
# Characters of a model's name, which is also that of a folder and of a W&B artifact.
MAX_MODEL_NAME = 100
# Names of devices, which Windows refuses with any extension.
_WINDOWS_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)", re.IGNORECASE)
# Unicode categories of the characters in file names: letters, marks and digits.
_IN_FILE_NAMES = ("L", "M", "N")


def file_name(text: str) -> str:
    """Return ``text`` as the name of a file or folder on Linux, macOS and Windows, e.g. ``lr-0.1``.

    Letters and digits of all scripts and ``._-`` are kept, others become ``-``: a path with blanks, quotes or
    ``=`` has to be quoted in shells and in overrides.
    """
    kept = (
        letter if unicodedata.category(letter)[0] in _IN_FILE_NAMES or letter in "._-" else "-"
        for letter in unicodedata.normalize("NFC", text)
    )
    short = "".join(kept).encode()[:MAX_FILE_NAME].decode(errors="ignore")
    name = short.strip(".") or "unnamed"
    return f"_{name}" if _WINDOWS_DEVICE.match(name) else name


def wandb_id(text: str) -> str:
    """Return ``text`` as the id of a W&B run; an altered id has a hash of the text, to stay distinct."""
    return _ascii_name(text, MAX_WANDB_ID)


def artifact_name(text: str) -> str:
    """Return ``text`` as the name of a W&B artifact; an altered name has a hash of the text."""
    return _ascii_name(text, MAX_WANDB_NAME)


def wandb_name(text: str) -> str:
    """Return ``text`` as the display name or group of a W&B run: one line of at most 128 characters."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= MAX_WANDB_NAME else line[: MAX_WANDB_NAME - 1] + "…"


def model_name(text: str) -> str:
    """Return ``text`` as the name of a model, see `fer.bundle.card.NAME_RULE`.

    Accents are dropped. A name that loses letters of another script has a hash of the text.
    """
    is_readable = not any(letter.isalnum() and not letter.isascii() for letter in _without_accents(text))
    name = _slug(text).lstrip("._-")[: MAX_MODEL_NAME - 20].rstrip(".")
    name = name if name and is_readable else f"{name or 'model'}-{_hash(text)}"
    return f"model-{name}" if is_reserved(name) else name


def is_reserved(name: str) -> bool:
    """Return whether Windows refuses a name of allowed characters: ``con``, ``nul.x``, ``a.``."""
    return bool(_WINDOWS_DEVICE.match(name)) or name.endswith((".", " "))


def is_wandb_project(text: str) -> bool:
    r"""Return whether W&B accepts a project or entity: 1 to 128 characters, none of ``/\#?%:``."""
    return 0 < len(text) <= MAX_WANDB_NAME and not _NOT_IN_WANDB_PROJECT.search(text)


def is_unicode(text: str) -> bool:
    """Return whether text can be stored as UTF-8; file names and arguments may have other bytes on Linux."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def override(key: str, value: str) -> str:
    """Return ``key=value`` as an argument of fer-train in a shell, quoted if necessary."""
    # Absolute paths; other plain values may be read as numbers or null.
    if re.fullmatch(r"/[A-Za-z0-9_./:@%+-]+", value):
        return f"{key}={value}"
    return shlex.quote(f"{key}={quoted(value)}")


def quoted(value: str) -> str:
    r"""Return any text as a quoted value of a Hydra override.

    Backslashes are doubled only before a quote and at the end, and ``${`` is escaped, as Hydra's grammar
    requires.
    """
    return '"' + re.sub(r'(\\*)("|\$\{|\Z)', _escape, value) + '"'


def _escape(match: re.Match[str]) -> str:
    backslashes, special = match.groups()
    return backslashes * 2 + (f"\\{special}" if special else "")


def _ascii_name(text: str, limit: int) -> str:
    if re.fullmatch(rf"[A-Za-z0-9_.-]{{1,{limit}}}", text):
        return text
    return f"{_slug(text)[: limit - 9]}-{_hash(text)}"


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", _without_accents(text))


def _without_accents(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
