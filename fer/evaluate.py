"""fer-evaluate: how good is a trained model, on which emotions, and what does it get wrong?"""

import argparse
import sys
from collections.abc import Sequence

from fer.cli import run_and_explain

_EXAMPLES = """examples:
  fer-evaluate outputs/train/DATE/RUN --split val                 the data that the run was trained on
  fer-evaluate RUN --split test --tta flip                        entered in outputs/test_ledger.jsonl
  fer-evaluate RUN --data folder:$HOME/data/CK+ --split all       another set, in the emotions of the model
  fer-evaluate RUN_SEED_0 RUN_SEED_1 RUN_SEED_2                   one recipe over its seeds
  fer-evaluate RUN_A RUN_B --ensemble                             the mean of their probabilities

The report goes to RUN/report/SPLIT: index.html, report.md, metrics.json and predictions.npz. An expression is
not a feeling: do not decide about people with it."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    words = argparse.ArgumentParser(
        "fer-evaluate",
        description="Score a trained model and write a report of it.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    words.add_argument("runs", nargs="+", metavar="RUN", help="folder of a run, or a .ckpt file of one")
    words.add_argument(
        "--split",
        default="val",
        choices=("train", "val", "test", "all"),
        help="what to score (default: val)",
    )
    words.add_argument("--path", help="where the data of the run lies now")
    words.add_argument(
        "--data",
        metavar="KIND:PATH",
        help="another set: folder, fer2013, ferplus, rafdb or affectnet",
    )
    words.add_argument("--tta", choices=("flip", "ten-crop"), help="test-time augmentation")
    words.add_argument("--ensemble", action="store_true", help="score the mean of the runs' probabilities")
    words.add_argument("--checkpoint", choices=("best", "last"), help="of a run folder (default: best)")
    words.add_argument("--output", metavar="DIR", help="folder for the report")
    words.add_argument("--logger", choices=("wandb",), help="send figures, tables and pictures there too")
    return words


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``fer-evaluate`` and exit with its status."""
    request = parser().parse_args(arguments)

    def evaluate() -> None:
        from fer.evaluating.evaluation import (
            evaluate,  # torch loads for seconds: --help and a typo do not wait
        )

        evaluate(request)

    sys.exit(run_and_explain(evaluate))


if __name__ == "__main__":
    main()
