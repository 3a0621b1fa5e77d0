"""What a comparison says in words: which is better and by how much, or that the images cannot tell."""

from fer.analysis.paired import ALPHA, Difference

LESS_IS_BETTER = frozenset({"log_loss"})
MIN_DECIDING = 6  # of five images that one of two alone has right, even 5 : 0 has a p-value of 0.06


def is_shown(found: Difference, p: float) -> bool:
    """Return whether a difference is more than chance: its interval and its corrected ``p`` have to agree."""
    excludes_zero = found.low > 0 or found.high < 0
    return excludes_zero and p < ALPHA and found.deciding >= MIN_DECIDING


def first_is_better(metric: str, value: float) -> bool:
    """Return whether a difference of that sign speaks for the first of two."""
    return (value > 0) != (metric in LESS_IS_BETTER)


def amount(metric: str, value: float, signed: bool = False) -> str:
    """Return a difference as people read it: points of a share, nats of a log loss."""
    sign = "+" if signed else ""
    return f"{value:{sign}.3f}" if metric in LESS_IS_BETTER else f"{100 * value:{sign}.1f}"


def _doubt(p: float, tests: int) -> str:
    """Say why an interval that leaves out 0 is not believed."""
    if p < ALPHA:
        return f"Fewer than {MIN_DECIDING} images tell them apart."
    if tests > 1:
        return f"For all pairs together that may be chance (corrected p = {p:.2f})."
    return f"The exact test does not confirm it (p = {p:.2f})."


def verdict(names: tuple[str, str], metric: str, found: Difference, p: float, n: int, tests: int = 1) -> str:
    """Say whether one of two is better, by how much, or that the images cannot tell.

    Args:
        names: What A and B are called.
        metric: One of `fer.analysis.paired.METRICS`.
        found: A minus B.
        p: Its p-value, corrected where several were tested.
        n: Images.
        tests: Pairs that were tested.
    """
    unit = "nats" if metric in LESS_IS_BETTER else "points"
    unable = f"These {n:,} images cannot tell {names[0]} from {names[1]}"
    if found.no_interval:
        return f"{unable}: {amount(metric, found.value, signed=True)} {unit}, {found.no_interval}."
    if not is_shown(found, p):
        low, value, high = (amount(metric, x, signed=True) for x in (found.low, found.value, found.high))
        words = f"{unable}: {value} {unit} [{low}, {high}]."
        if found.low > 0 or found.high < 0:
            words += f" {_doubt(p, tests)}"
        if found.detectable > 0 and found.deciding >= MIN_DECIDING:
            least = f"{amount(metric, found.detectable)} {unit}"
            words += f" A true difference of {least} would be found with 80 % chance."
        return words
    better, worse = names if first_is_better(metric, found.value) else names[::-1]
    low, high = (amount(metric, x) for x in sorted((abs(found.low), abs(found.high))))
    return f"{better} is better than {worse} by {amount(metric, abs(found.value))} {unit} [{low}, {high}]."
