"""Settings of the app, the same for all visitors, and limits on the resources of one visitor."""

from dataclasses import dataclass
from pathlib import Path

MAX_UPLOAD_MB = 50


@dataclass(frozen=True)
class Settings:
    """Settings from the command line.

    Attributes:
        model: Bundle folder or model name; None is the model of the package.
        models: Folder of a registry, see `fer.bundle.registry`.
        detector: One of `fer.faces.choose.DETECTORS`.
        detector_model: Model file of the detector, if it needs one.
        ice_servers: STUN and TURN servers for the webcam, ``stun:HOST:PORT`` or
            ``turn:USER:PASSWORD@HOST:PORT``.
        max_upload_mb: Maximum size of an uploaded file in megabytes.
    """

    model: str | None = None
    models: Path = Path("models")
    detector: str = "auto"
    detector_model: str | None = None
    ice_servers: tuple[str, ...] = ()
    max_upload_mb: int = MAX_UPLOAD_MB

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files and folders in these settings."""
        names = (self.model, self.detector_model)
        return (self.models, *(Path(name) for name in names if name is not None))


_settings = Settings()


def set_settings(new: Settings) -> None:
    """Set the settings of this process."""
    global _settings
    _settings = new


def settings() -> Settings:
    """Return the settings of this process."""
    return _settings
