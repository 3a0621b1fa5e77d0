"""Check that the seeds of a recipe are separate training runs."""

from collections.abc import Hashable, Iterable

from fer.errors import FerError


def check_distinct_seeds(trainings: Iterable[tuple[Hashable, int | None, str]]) -> None:
    """Reject two checkpoints of one training run, which would count as two seeds.

    Args:
        trainings: For each checkpoint the key of its training (`fer.scoring.TrainedRun.training_key`), its
            seed (None: several, or unknown), and its path.

    Raises:
        FerError: Two have the same key and seed.
    """
    known: dict[Hashable, str] = {}
    for key, seed, path in trainings:
        if seed is not None and (key, seed) in known:
            raise FerError(
                f"{known[key, seed]} and {path}: expected different seeds of a recipe, got two checkpoints "
                f"of one training run (seed {seed}). Name only one of them."
            )
        known[key, seed] = path
