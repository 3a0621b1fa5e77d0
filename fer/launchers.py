"""Hydra launchers, and the extras of this package that install them."""

from fer.errors import FerError, did_you_mean

LAUNCHERS = {
    "train": ("basic",),
    "sweep": ("joblib", "submitit_local", "submitit_slurm"),
    "ray": ("ray", "ray_aws"),
}


def missing_launcher(name: str) -> FerError:
    """Return the error for a launcher that Hydra does not find: not installed, or unknown."""
    for extra, launchers in LAUNCHERS.items():
        if name in launchers:
            return FerError(
                f"hydra/launcher={name} is not installed: pip install 'fer-lightning[train,{extra}]'"
            )
    known = [launcher for launchers in LAUNCHERS.values() for launcher in launchers]
    return FerError(
        f"hydra/launcher: expected one of {', '.join(known)}, got {name!r}.{did_you_mean(name, known)}"
    )
