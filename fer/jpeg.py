"""How many scans a JPEG has: each is decoded over the whole picture, and its format sets no limit to them."""

import re

SCAN = b"\xff\xda"  # the marker before a scan; also within notes and in what lies behind the picture
_START, _END = b"\xff\xd8", 0xD9
_ALONE = frozenset([0x01, *range(0xD0, 0xD9)])  # markers without a segment behind them
_NEXT = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")  # in coded data FF 00 stands for FF


def count_scans(content: bytes) -> int:
    """Return the scans of the first picture in a JPEG file.

    What lies between segments is passed over, as decoders do. A usual picture has one scan, a progressive one
    about ten. One more may cost 14 bytes and milliseconds of a processor (ITU-T T.81, sections B.1.1, G.1).
    """
    place, scans = 2, 0
    if not content.startswith(_START):
        return 0
    while (found := _NEXT.search(content, place)) is not None and found[1][0] != _END:
        marker, place = found[1][0], found.end()
        if marker in _ALONE:
            continue
        scans += marker == SCAN[1]
        place += int.from_bytes(content[place : place + 2], "big")
    return scans
