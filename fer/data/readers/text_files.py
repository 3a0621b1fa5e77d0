"""Open text files given by the user, with a clear error for a missing file or a file of another format."""

import stat
from pathlib import Path
from typing import BinaryIO

from fer.core.errors import FerError, did_you_mean
from fer.core.paths import list_names

# First bytes of formats that users often have instead of plain text -> name of the format and advice.
_OTHER_FORMATS = {
    b"\xff\xfe": "UTF-16 text. Save it as UTF-8 (in Excel: 'CSV UTF-8').",
    b"\xfe\xff": "UTF-16 text. Save it as UTF-8 (in Excel: 'CSV UTF-8').",
    b"PK": "a ZIP archive. Unpack it and give the file inside.",
    b"\x1f\x8b": "a gzip archive. Unpack it and give the file inside.",
    b"<!DOC": "a web page. The download needs a login; log in and download the file again.",
    b"<html": "a web page. The download needs a login; log in and download the file again.",
}
BOM = b"\xef\xbb\xbf"


def open_text(path: Path, expected: str) -> BinaryIO:
    """Open a text file for reading bytes, positioned after a UTF-8 byte-order mark.

    Args:
        path: The file.
        expected: Description of the expected file, for messages, e.g. ``"a FER2013 CSV file"``.

    Raises:
        FerError: The file is missing (the message suggests a similar name), is a folder, is unreadable, is
            empty, or is not text.
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
            # Reading line by line is twice as fast as with the default buffer.
            return path.open("rb", buffering=1 << 20)
        kind = f"a folder{_describe_csv_files(path)}" if stat.S_ISDIR(mode) else "a device or pipe"
    except (FileNotFoundError, NotADirectoryError):
        raise FerError(_missing_message(path, expected)) from None
    except (OSError, ValueError) as error:
        # ValueError: the path contains a NUL character.
        reason = getattr(error, "strerror", None) or error
        raise FerError(f"{path}: expected {expected}, but it cannot be read: {reason}.") from None
    raise FerError(f"{path}: expected {expected}, got {kind}. Give the path of the file itself.")


def _describe_csv_files(folder: Path) -> str:
    names = [name for name in list_names(folder) if name.lower().endswith(".csv")]
    return f" with {', '.join(names[:5])}" if names else " without any CSV file"


def _missing_message(path: Path, expected: str) -> str:
    message = f"{path}: expected {expected}, but there is no such file."
    if not path.parent.is_dir():
        return f"{message} The folder {path.parent} does not exist either. Correct the path."
    hint = did_you_mean(path.name, list_names(path.parent))
    if hint:
        return f"{message}{hint}"
    return f"{message} {path.parent} is a folder{_describe_csv_files(path.parent)}. Correct the path."


def _check_text(path: Path, start: bytes, expected: str) -> None:
    if not start.removeprefix(BOM).strip():
        raise FerError(f"{path}, line 1: expected {expected}, got an empty file. Download it again.")
    for magic, advice in _OTHER_FORMATS.items():
        if start.startswith(magic):
            raise FerError(f"{path}, line 1: expected {expected}, got {advice}")
    if b"\0" in start:
        utf16 = start[1:200:2].count(0) > 50 or start[0:200:2].count(0) > 50
        kind = (
            _OTHER_FORMATS[b"\xff\xfe"] if utf16 else "a binary file. Check the path, or download it again."
        )
        raise FerError(f"{path}, line 1: expected {expected}, got {kind}")
