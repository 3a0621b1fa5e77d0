"""A sketch of a set of images: few marks, enough to tell how much two sets have in common."""

import hashlib
from collections.abc import Iterable, Sequence

SIZE = 256
_MARK_BYTES = 6  # two different images among 10,000 agree by chance once in 5 million sets


def sketch(contents: Iterable[bytes]) -> list[str]:
    """Return the marks of a set, whatever its order: the `SIZE` smallest hashes of what is in it, as hex.

    A bottom-k sketch (Broder 1997, https://doi.org/10.1109/SEQUEN.1997.666900).
    """
    marks = {hashlib.blake2b(content, digest_size=_MARK_BYTES).hexdigest() for content in contents}
    return sorted(marks)[:SIZE]


def overlap(one: Sequence[str], other: Sequence[str]) -> float:
    """Estimate which share of the smaller of two sets is in the other, in [0, 1].

    Only hashes below both sketches' ends are compared: above, what a full sketch left out is not known. So
    a part with less than about a hundredth of the other's images may have none to compare, and counts as 0.
    """
    ends = [marks[-1] for marks in (one, other) if len(marks) == SIZE]
    common = [{mark for mark in marks if not ends or mark <= min(ends)} for marks in (one, other)]
    smaller = min(map(len, common))
    return len(common[0] & common[1]) / smaller if smaller else 0.0
