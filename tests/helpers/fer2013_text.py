"""Write FER2013 files with random pixels, valid or damaged."""

from pathlib import Path

import numpy as np

USAGES = ("Training", "PublicTest", "PrivateTest")
HEADERS = {"csv": "emotion,pixels,Usage", "icml": "emotion, Usage, pixels"}


def make_rows(num_rows: int, seed: int = 0) -> list[dict[str, str]]:
    """Return rows with random pixels; the first two are training rows with different emotions."""
    rng = np.random.default_rng(seed)
    usages = [*USAGES[:1] * 2, *rng.choice(USAGES, max(num_rows - 2, 0))][:num_rows]
    labels = [0, 6, *rng.integers(0, 7, max(num_rows - 2, 0))][:num_rows]
    # Cubing makes numbers with one, two and three digits about equally frequent.
    pixels = (rng.random((num_rows, 2304)) ** 3 * 256).astype(int)
    texts = [" ".join(map(str, row)) for row in pixels.tolist()]
    columns = zip(labels, texts, usages, strict=True)
    return [{"emotion": str(i), "pixels": text, "Usage": str(usage)} for i, text, usage in columns]


def to_text(
    rows: list[dict[str, str]], header: str = HEADERS["csv"], newline: str = "\n", quote: str = ""
) -> str:
    columns = [name.strip() for name in header.split(",")]
    lines = [",".join(f"{quote}{row[name]}{quote}" for name in columns) for row in rows]
    return "".join(line + newline for line in [header, *lines])


def write(folder: Path, text: str | bytes, name: str = "fer2013.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path
