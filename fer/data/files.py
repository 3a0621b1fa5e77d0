"""Opening the files that users name: a path that leads nowhere, or to the wrong kind of file, says so."""

import stat
from pathlib import Path
from typing import BinaryIO

from fer.errors import FerError, did_you_mean
from fer.places import names_in

# First bytes of what people download or save instead of plain text, and what to do about it.
_FOREIGN = {
    b"\xff\xfe": "UTF-16 text. Save it as UTF-8 (in Excel: 'CSV UTF-8').",
    b"\xfe\xff": "UTF-16 text. Save it as UTF-8 (in Excel: 'CSV UTF-8').",
    b"PK": "a ZIP archive. Unpack it and give the file inside.",
    b"\x1f\x8b": "a gzip archive. Unpack it and give the file inside.",
    b"<!DOC": "a web page. The download wanted a login; download the file again.",
    b"<html": "a web page. The download wanted a login; download the file again.",
}
BOM = b"\xef\xbb\xbf"


def open_text(path: Path, expected: str) -> BinaryIO:
    """Open a text file for reading bytes, with the position after a UTF-8 byte-order mark.

    Args:
        path: The file.
        expected: What it should be, for messages, e.g. ``"a FER2013 CSV file"``.

    Raises:
        FerError: No such file (with the nearest names beside it), a folder, unreadable, empty, or no text.
    """
    file = _open_regular(path, expected)
    try:
        start = file.read(4096)
        _check_text(path, start, expected)
    except BaseException:
        file.close()
        raise
    file.seek(len(BOM) if start.startswith(BOM) else 0)
    return file


def _open_regular(path: Path, expected: str) -> BinaryIO:
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            return path.open("rb", buffering=1 << 20)  # twice as fast line by line as the default
        kind = f"a folder{_listing(path)}" if stat.S_ISDIR(mode) else "a device or pipe"
    except (FileNotFoundError, NotADirectoryError):
        raise FerError(_missing(path, expected)) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise FerError(f"{path}: expected {expected}, but it cannot be read: {reason}.") from None
    raise FerError(f"{path}: expected {expected}, got {kind}. Give the path of the file itself.")


def _listing(folder: Path) -> str:
    names = [name for name in names_in(folder) if name.lower().endswith(".csv")]
    return f" that holds {', '.join(names[:5])}" if names else " without any CSV file"


def _missing(path: Path, expected: str) -> str:
    message = f"{path}: expected {expected}, but there is no such file."
    if not path.parent.is_dir():
        return f"{message} The folder {path.parent} is missing too; correct the path."
    hint = did_you_mean(path.name, names_in(path.parent))
    return f"{message}{hint or f' {path.parent} is a folder{_listing(path.parent)}; correct the path.'}"


def _check_text(path: Path, start: bytes, expected: str) -> None:
    if not start.removeprefix(BOM).strip():
        raise FerError(f"{path}, line 1: expected {expected}, got an empty file. Download it again.")
    for magic, advice in _FOREIGN.items():
        if start.startswith(magic):
            raise FerError(f"{path}, line 1: expected {expected}, got {advice}")
    if b"\0" in start:
        utf16 = start[1:200:2].count(0) > 50 or start[0:200:2].count(0) > 50
        kind = _FOREIGN[b"\xff\xfe"] if utf16 else "a binary file. Check the path, or download it again."
        raise FerError(f"{path}, line 1: expected {expected}, got {kind}")
