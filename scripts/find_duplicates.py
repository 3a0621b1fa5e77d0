"""Count exact and near copies in a data set, within and across splits, and copies with conflicting labels.

uv run python scripts/find_duplicates.py datamodule=fer2013 datamodule.path=$HOME/data/fer2013.csv
uv run python scripts/find_duplicates.py datamodule=folder datamodule.path=$HOME/data/CK+ --json copies.json
uv run python scripts/find_duplicates.py datamodule=... --sheet pairs.png --between 0.75 0.80

The sheet shows random pairs with their row numbers and the correlation of their fine detail, to check by eye
how many show the same photograph. Labels of the test split are never used.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from fer.analysis.plots.images import plot_image_grid
from fer.analysis.plots.style import save_figure
from fer.core.command_line import run_command
from fer.core.errors import FerError
from fer.data.duplicates import duplicate_report, find_duplicates, format_report, write_report
from fer.data.duplicates.hashes import scan_images
from fer.data.duplicates.search import find_in_scan
from fer.data.readers.factory import read_dataset
from fer.training.api import composed
from fer.training.overrides import to_run_config

# Pairs per row of the sheet.
COLUMNS = 8


def read_data(overrides):
    """Read the data set of these overrides, as fer-train does."""
    with composed(overrides) as config:
        return read_dataset(to_run_config(config).data)


def draw_sheet(data, copies, arguments):
    """Plot pairs side by side; a mirrored image is flipped back."""
    low, high = arguments.between
    candidates = np.flatnonzero((copies.correlation >= low) & (copies.correlation <= high))
    if not len(candidates):
        raise FerError(
            f"--between {low} {high}: expected a range with near copies, got one with none. Widen the range."
        )
    chosen = np.random.default_rng(0).permutation(candidates)[: arguments.pairs]
    chosen = chosen[np.argsort(copies.correlation[chosen])]
    images, titles = [], []
    for (first, second, mirrored), value in zip(
        copies.pairs[chosen], copies.correlation[chosen], strict=True
    ):
        second_image = data.images[int(second)]
        images += [data.images[int(first)], second_image[:, ::-1] if mirrored else second_image]
        titles += [f"{first}, {value:.2f}", f"{second}{' mirrored' if mirrored else ''}"]
    title = f"{len(chosen)} of {len(candidates):,} near copies, correlation {low:g} to {high:g}"
    save_figure(plot_image_grid(np.stack(images), titles, 2 * COLUMNS, title), arguments.sheet)


def count(arguments):
    data = read_data(arguments.overrides)
    start = time.perf_counter()
    copies = find_in_scan(scan_images(data.images)) if arguments.fresh else find_duplicates(data.images)
    seconds = time.perf_counter() - start
    report = duplicate_report(data, copies)
    print(*format_report(report), f"{seconds:.1f} s", sep="\n")
    if arguments.json:
        write_report(arguments.json, report)
    if arguments.sheet:
        draw_sheet(data, copies, arguments)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("overrides", nargs="+", help="datamodule=... and its options, as for fer-train")
    parser.add_argument("--fresh", action="store_true", help="ignore the cache and search again")
    parser.add_argument("--json", type=Path, help="write all groups and conflicts to this file")
    parser.add_argument("--sheet", type=Path, help="write a sheet of pairs to this PNG")
    parser.add_argument("--pairs", type=int, default=48, help="number of pairs on the sheet (default 48)")
    parser.add_argument("--between", type=float, nargs=2, default=(-1.0, 1.0), metavar=("LOW", "HIGH"),
                        help="correlation of the pairs on the sheet")  # fmt: skip
    arguments = parser.parse_args()
    raise SystemExit(run_command(lambda: count(arguments)))


if __name__ == "__main__":
    main()
