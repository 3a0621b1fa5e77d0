"""Hydra's launchers, and the extras of this package that bring them."""

from fer.errors import FerError, did_you_mean

LAUNCHERS = {
    "train": ("basic",),
    "sweep": ("joblib", "submitit_local", "submitit_slurm"),
    "ray": ("ray", "ray_aws"),
}


def no_launcher(name: str) -> FerError:
    """Say what to do about a launcher that Hydra does not find."""
    for extra, launchers in LAUNCHERS.items():
        if name in launchers:
            return FerError(
                f"hydra/launcher={name} is not installed: pip install 'fer-lightning[train,{extra}]'"
            )
    known = [launcher for several in LAUNCHERS.values() for launcher in several]
    hint = did_you_mean(name, known)
    return FerError(f"hydra/launcher={name}: there is no such launcher, but {', '.join(known)}.{hint}")
