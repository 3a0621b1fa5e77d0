"""Settings of the app, the same for all visitors, and limits on the resources of one visitor."""

from dataclasses import dataclass
from pathlib import Path

from fer.core.hub import is_on_hub

# Default of --max-upload-mb.
MAX_UPLOAD_MB = 50
# Images in one upload.
MAX_IMAGES = 20
MAX_IMAGE_MB = 25
# All files that a session has in memory; raised if needed to hold two files of the maximal upload size.
MAX_SESSION_MB = 200
MAX_SESSION_FILES = 100
# Pixels; detectors find no face in a smaller image.
MIN_SIDE = 16
MAX_VIDEO_SECONDS = 120.0
# Two minutes at 60 frames per second.
MAX_VIDEO_FRAMES = 7_200
# Pixels of a frame: 4K.
MAX_VIDEO_PIXELS = 10_000_000
# Only the largest faces are classified. Annotating a thousand faces would take half a minute.
MAX_FACES_PER_IMAGE = 200
# The same limit for a frame of a video or a camera.
MAX_FACES_PER_FRAME = 20
# Pixels of the longer side of an image that stays in memory for display.
MAX_DISPLAY_SIDE = 1280


@dataclass(frozen=True)
class Settings:
    """Settings from the command line.

    Attributes:
        model: Bundle folder, model name or ``hf:owner/name[@revision]``; None is the model of the package.
        models: Folder of a registry, see `fer.bundle.registry`.
        detector: One of `fer.faces.detectors.DETECTORS`.
        detector_model: Model file of the detector, if it needs one.
        ice_servers: STUN and TURN servers for the webcam, ``stun:HOST:PORT`` or
            ``turn:USER:PASSWORD@HOST:PORT``.
        max_upload_mb: Maximum size of an uploaded file in megabytes.
        device: Where models run, see `fer.core.device.DEVICES`.
    """

    model: str | None = None
    models: Path = Path("models")
    detector: str = "auto"
    detector_model: str | None = None
    ice_servers: tuple[str, ...] = ()
    max_upload_mb: int = MAX_UPLOAD_MB
    device: str = "auto"

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files and folders in these settings."""
        names = (self.model, self.detector_model)
        return (self.models, *(Path(name) for name in names if name is not None and not is_on_hub(name)))


_settings = Settings()


def set_settings(new: Settings) -> None:
    """Set the settings of this process."""
    global _settings
    _settings = new


def settings() -> Settings:
    """Return the settings of this process."""
    return _settings
