"""Conclusion of a paired comparison: the better candidate and the difference, or no significance."""

from fer.analysis.paired import ALPHA, Difference

LOWER_IS_BETTER = frozenset({"log_loss"})
# With five discordant images, even 5 : 0 has a p-value of 0.06
MIN_DISCORDANT = 6


def is_significant(difference: Difference, p: float) -> bool:
    """Return whether a difference is significant: its interval and its corrected ``p`` have to agree."""
    excludes_zero = difference.low > 0 or difference.high < 0
    return excludes_zero and p < ALPHA and difference.deciding >= MIN_DISCORDANT


def favours_first(metric: str, value: float) -> bool:
    """Return whether a difference of that sign means that the first of two is better."""
    return (value > 0) != (metric in LOWER_IS_BETTER)


def format_difference(metric: str, value: float, signed: bool = False) -> str:
    """Return a difference in percentage points, or in nats for the log loss, without the unit."""
    sign = "+" if signed else ""
    return f"{value:{sign}.3f}" if metric in LOWER_IS_BETTER else f"{100 * value:{sign}.1f}"


def _why_not_significant(p: float, tests: int) -> str:
    """Return why a difference whose interval excludes 0 is not significant."""
    if p < ALPHA:
        return f"Fewer than {MIN_DISCORDANT} images are discordant."
    if tests > 1:
        return f"It is not significant after the correction for {tests} pairs (corrected p = {p:.2f})."
    return f"The exact test does not confirm it (p = {p:.2f})."


def conclusion(
    names: tuple[str, str], metric: str, difference: Difference, p: float, n: int, tests: int = 1
) -> str:
    """Return the conclusion on two candidates as one or more sentences.

    Args:
        names: Names of A and B.
        metric: One of `fer.analysis.paired.METRICS`.
        difference: A minus B.
        p: Its p-value, corrected where several pairs were tested.
        n: Number of images.
        tests: Number of pairs tested.
    """
    unit = "nats" if metric in LOWER_IS_BETTER else "points"
    undecided = f"No significant difference between {names[0]} and {names[1]} on {n:,} images"
    if difference.no_interval:
        value = format_difference(metric, difference.value, signed=True)
        return f"{undecided}: {value} {unit}, {difference.no_interval}."
    if not is_significant(difference, p):
        low, value, high = (
            format_difference(metric, x, signed=True)
            for x in (difference.low, difference.value, difference.high)
        )
        text = f"{undecided}: {value} {unit} [{low}, {high}]."
        if difference.low > 0 or difference.high < 0:
            text += f" {_why_not_significant(p, tests)}"
        if difference.detectable > 0 and difference.deciding >= MIN_DISCORDANT:
            detectable = f"{format_difference(metric, difference.detectable)} {unit}"
            text += f" A true difference of {detectable} would be detected with 80 % power."
        return text
    better, worse = names if favours_first(metric, difference.value) else names[::-1]
    low, high = (format_difference(metric, x) for x in sorted((abs(difference.low), abs(difference.high))))
    size = f"{format_difference(metric, abs(difference.value))} {unit} [{low}, {high}]"
    return f"{better} is better than {worse} by {size}."
