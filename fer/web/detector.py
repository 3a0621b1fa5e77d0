"""YuNet's file for ONNX Runtime: images of any size instead of the one that the file declares.

OpenCV replaces the size of the input; ONNX Runtime insists on it. The network takes any multiple of 32.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime as ort

from fer.bundle.providers import session_options
from fer.core.errors import FerError
from fer.faces.detectors import YUNET_ENV_VAR
from fer.faces.yunet import ADVICE, YuNet, fetch_yunet

# Fields of ONNX's protocol buffers, from the model to the size of an axis of an input or output.
_GRAPH, _INPUT, _OUTPUT, _VALUE_INFO = 7, 11, 12, 13
_SHAPE = (2, 1, 2)
_DIM, _DIM_VALUE, _DIM_PARAM = 1, 1, 2
# Height and width that the file is tried with.
_TRIED = (96, 160)
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def any_size_detector(model_file: Path | None = None) -> bytes:
    """Return YuNet's ONNX file for images of any size.

    Args:
        model_file: YuNet's file; None: ``FER_YUNET_MODEL``, or the one in the user's cache, or a download.

    Raises:
        FerError: There is no such file, it is another one, or it cannot be downloaded.
    """
    path = YuNet(model_file or os.environ.get(YUNET_ENV_VAR) or _fetch()).model_file
    try:
        content = _rewrite(path.read_bytes(), (_GRAPH,))
        session = ort.InferenceSession(content, session_options(1), providers=["CPUExecutionProvider"])
        session.run(None, {session.get_inputs()[0].name: np.zeros((1, 3, *_TRIED), np.float32)})
    # ONNX Runtime's exceptions have no common base class, and a changed file may break anywhere.
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise FerError(
            f"{path}: expected YuNet for images of any size, but ONNX Runtime cannot run it so ({reason}). "
            "Use the file that fer-predict --detector yunet downloads."
        ) from None
    return content


def _fetch() -> Path:
    """Return the downloaded file; the page has no other detector that an error could advise."""
    try:
        return fetch_yunet()
    except FerError as error:
        raise FerError(str(error).replace(ADVICE, f"Name the file with {YUNET_ENV_VAR}=FILE.")) from None


def _rewrite(message: bytes, path: tuple[int, ...]) -> bytes:
    """Return a message in which the fields along ``path`` are changed; see `_change`."""
    result = bytearray()
    for number, start, value, end in _fields(message):
        if number != path[0]:
            result += message[start:end]
        else:
            content = _change(message[value:end], path)
            result += _varint(number << 3 | _BYTES) + _varint(len(content)) + content
    return bytes(result)


def _change(message: bytes, path: tuple[int, ...]) -> bytes:
    """Free the sizes of the inputs and outputs of a graph, and remove those of values inside it."""
    if path == (_GRAPH,):
        kept = b"".join(
            message[start:end] for number, start, _, end in _fields(message) if number != _VALUE_INFO
        )
        return _rewrite(_rewrite(kept, (_INPUT, *_SHAPE, _DIM)), (_OUTPUT, *_SHAPE, _DIM))
    if len(path) > 1:
        return _rewrite(message, path[1:])
    number, _, value, _ = next(_fields(message))
    size = _read_varint(message, value)[0] if number == _DIM_VALUE else 0
    # Batch, channels, and values per cell of the output stay.
    return message if size < 16 else _varint(_DIM_PARAM << 3 | _BYTES) + b"\x00"


def _fields(message: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield number, start, start of the value and end of each field."""
    position = 0
    while position < len(message):
        start = position
        key, position = _read_varint(message, position)
        length = 0
        if key & 7 == _BYTES:
            length, position = _read_varint(message, position)
        value = position
        if key & 7 == _VARINT:
            position = _read_varint(message, position)[1]
        else:
            position += {_FIXED64: 8, _FIXED32: 4, _BYTES: length}[key & 7]
        yield key >> 3, start, value, position


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    """Return an integer of 7 bits per byte, and the position after it."""
    value = shift = 0
    while True:
        byte = message[position]
        value, shift, position = value | (byte & 127) << shift, shift + 7, position + 1
        if byte < 128:
            return value, position


def _varint(value: int) -> bytes:
    result = bytearray()
    while value > 127:
        result.append(value & 127 | 128)
        value >>= 7
    return bytes([*result, value])
