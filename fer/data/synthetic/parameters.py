"""Parameters of a synthetic face: expression, identity, pose, light and image degradations."""

from dataclasses import dataclass, field, fields
from typing import Any

from fer.errors import FerError, did_you_mean

HAIR_STYLES = ("bald", "short", "parted", "fringe", "long", "bun", "curly")
OCCLUDERS = ("none", "hand", "panel")


def _number(default: float, low: float, high: float) -> Any:
    return field(default=default, metadata={"range": (low, high)})


def _choice(default: str, options: tuple[str, ...]) -> Any:
    return field(default=default, metadata={"options": options})


@dataclass(frozen=True)
class FaceParameters:
    """The parameters of one synthetic face. The defaults give an average, neutral, frontal, evenly lit face.

    Each muscle action has its number in the Facial Action Coding System (Ekman & Friesen 1978) and a strength
    in [0, 1]. Traits range from -1 to 1 with an average of 0. Left and right are the viewer's.

    Raises:
        FerError: A value outside its range, or an unknown hair style or occluder.
    """

    # Expression
    inner_brow_raise: float = _number(0, 0, 1)  # AU1
    outer_brow_raise: float = _number(0, 0, 1)  # AU2
    brow_lower: float = _number(0, 0, 1)  # AU4
    upper_lid_raise: float = _number(0, 0, 1)  # AU5
    cheek_raise: float = _number(0, 0, 1)  # AU6
    lid_tighten: float = _number(0, 0, 1)  # AU7
    nose_wrinkle: float = _number(0, 0, 1)  # AU9
    upper_lip_raise: float = _number(0, 0, 1)  # AU10
    lip_corner_pull: float = _number(0, 0, 1)  # AU12
    lip_corner_depress: float = _number(0, 0, 1)  # AU15
    chin_raise: float = _number(0, 0, 1)  # AU17
    lip_stretch: float = _number(0, 0, 1)  # AU20
    lip_tighten: float = _number(0, 0, 1)  # AU23
    lips_part: float = _number(0, 0, 1)  # AU25
    jaw_drop: float = _number(0, 0, 1)  # AU26
    lid_droop: float = _number(0, 0, 1)  # AU43; 1 closes the eyes
    asymmetry: float = _number(0, -1, 1)  # -1 / 1: the right / left half is 40 % weaker
    gaze_x: float = _number(0, -1, 1)  # 1: as far right as the iris goes
    gaze_y: float = _number(0, -1, 1)  # 1: as far down

    # Identity
    face_width: float = _number(0, -1, 1)
    face_length: float = _number(0, -1, 1)
    jaw_width: float = _number(0, -1, 1)
    eye_size: float = _number(0, -1, 1)
    eye_spacing: float = _number(0, -1, 1)
    brow_height: float = _number(0, -1, 1)
    brow_thickness: float = _number(0, -1, 1)
    nose_length: float = _number(0, -1, 1)
    nose_width: float = _number(0, -1, 1)
    mouth_width: float = _number(0, -1, 1)
    lip_fullness: float = _number(0, -1, 1)
    skin_tone: float = _number(0.3, 0, 1)  # 0 lightest, 1 darkest
    hair_style: str = _choice("short", HAIR_STYLES)
    hair_tone: float = _number(0.8, 0, 1)  # 0 blond, 1 black
    hair_gray: float = _number(0, 0, 1)
    eye_tone: float = _number(0.7, 0, 1)  # 0 blue, 1 dark brown
    beard: float = _number(0, 0, 1)  # 0 shaven, 1 full
    age: float = _number(0.2, 0, 1)  # depth of the folds
    clothes_tone: float = _number(0.5, 0, 1)  # hue, once around the color circle

    # Pose and framing
    yaw: float = _number(0, -40, 40)  # degrees; positive turns the face to the right of the image
    pitch: float = _number(0, -30, 30)  # degrees; positive lifts the chin
    roll: float = _number(0, -45, 45)  # degrees; positive turns clockwise
    scale: float = _number(1, 0.5, 1.5)  # 1: the head fills 90 % of the image's height
    shift_x: float = _number(0, -0.25, 0.25)  # fraction of the image's side, to the right
    shift_y: float = _number(0, -0.25, 0.25)  # fraction of the image's side, down

    # Light
    light_azimuth: float = _number(-25, -80, 80)  # degrees; positive: from the right
    light_elevation: float = _number(30, -30, 70)  # degrees; positive: from above
    light_strength: float = _number(0.55, 0, 1)  # fraction of the light that is directional
    light_warmth: float = _number(0, -1, 1)  # -1 bluish, 1 yellowish
    brightness: float = _number(0, -0.5, 0.5)  # fraction of full scale
    contrast: float = _number(1, 0.3, 1.7)  # around mid-gray

    # Degradations
    glasses: float = _number(0, 0, 1)  # opacity of the frame; 0 for none
    occluder: str = _choice("none", OCCLUDERS)
    occluder_size: float = _number(0.4, 0, 1)  # how far it extends; 1 covers about half the face
    occluder_angle: float = _number(120, -180, 180)  # degrees; side that it comes from, 0 right, 90 below
    blur: float = _number(0, 0, 0.05)  # standard deviation, fraction of the image's side
    noise: float = _number(0, 0, 40)  # standard deviation, gray levels of 255
    texture_seed: int = field(default=0, metadata={"range": (0, 2**32 - 1)})  # background, strands and noise

    def __post_init__(self) -> None:
        """Validate every value."""
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            # Also catches NaN.
            if not low <= value <= high:
                raise FerError(
                    f"face parameter {name}: expected a number from {low} to {high}, got {value!r}."
                )
        for name, options in _OPTIONS.items():
            if getattr(self, name) not in options:
                value, known = getattr(self, name), ", ".join(options)
                hint = did_you_mean(str(value), options)
                raise FerError(f"face parameter {name}: expected one of {known}, got {value!r}.{hint}")


_RANGES = {item.name: item.metadata["range"] for item in fields(FaceParameters) if "range" in item.metadata}
_OPTIONS = {
    item.name: item.metadata["options"] for item in fields(FaceParameters) if "options" in item.metadata
}
