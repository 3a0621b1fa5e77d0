"""Seeds of a recipe are trainings of their own."""

from collections.abc import Hashable, Iterable

from fer.errors import FerError


def check_seeds(trainings: Iterable[tuple[Hashable, int | None, str]]) -> None:
    """Refuse two checkpoints of one training: they would pass for two seeds.

    Args:
        trainings: Of each checkpoint what it was trained as, its seed (None: several, or not known), and its
            path.

    Raises:
        FerError: Two have one training and one seed.
    """
    known: dict[Hashable, str] = {}
    for training, seed, path in trainings:
        if seed is not None and (training, seed) in known:
            raise FerError(
                f"{known[training, seed]} and {path} are of one recipe and one seed ({seed}): two "
                "checkpoints of a training are no two seeds. Name one of them."
            )
        known[training, seed] = path
