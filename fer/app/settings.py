"""What the app was started with, the same for all who visit it."""

from dataclasses import dataclass
from pathlib import Path

MAX_UPLOAD_MB = 50


@dataclass(frozen=True)
class Settings:
    """The choices of the one who runs the app.

    Attributes:
        model: Folder of a bundle or the name of a model; None takes the one that comes with the package.
        models: Folder of a registry, see `fer.bundle.registry`.
        detector: One of `fer.faces.choose.DETECTORS`.
        detector_model: File of the detector, where it needs one.
        ice_servers: STUN and TURN servers for the webcam, ``stun:HOST:PORT`` or
            ``turn:USER:PASSWORD@HOST:PORT``.
        max_upload_mb: Megabytes that a file may have.
    """

    model: str | None = None
    models: Path = Path("models")
    detector: str = "auto"
    detector_model: str | None = None
    ice_servers: tuple[str, ...] = ()
    max_upload_mb: int = MAX_UPLOAD_MB

    @property
    def places(self) -> tuple[Path, ...]:
        """Return the files and folders of this machine that were named."""
        named = (self.model, self.detector_model)
        return (self.models, *(Path(one) for one in named if one is not None))


_chosen = Settings()


def use(chosen: Settings) -> None:
    """Let these be the settings of this process."""
    global _chosen
    _chosen = chosen


def settings() -> Settings:
    """Return the settings of this process."""
    return _chosen
