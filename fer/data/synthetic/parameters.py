"""Parameters of a synthetic face, and how they are sampled at random.

Expression, identity, pose, light and image degradations.
"""

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from fer.core.errors import FerError, did_you_mean
from fer.core.labels import FER7

HAIR_STYLES = ("bald", "short", "parted", "fringe", "long", "bun", "curly")
OCCLUDERS = ("none", "hand", "panel")


def _choice(default: str, options: tuple[str, ...]) -> Any:
    return field(default=default, metadata={"options": options})


def _number(default: float, low: float, high: float) -> Any:
    return field(default=default, metadata={"range": (low, high)})


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
_Range = tuple[float, float]
# Strengths of muscle actions at full intensity, drawn uniformly from each range.
_PROTOTYPES: dict[str, dict[str, _Range]] = {
    "angry": {
        "brow_lower": (0.8, 1.0), "upper_lid_raise": (0.2, 0.6), "lid_tighten": (0.5, 1.0),
        "lip_tighten": (0.6, 1.0), "chin_raise": (0.0, 0.5),
    },
    "disgust": {
        "nose_wrinkle": (0.8, 1.0), "upper_lip_raise": (0.6, 1.0), "lip_corner_depress": (0.2, 0.7),
        "chin_raise": (0.1, 0.6), "brow_lower": (0.1, 0.4), "lid_tighten": (0.2, 0.7),
        "lips_part": (0.0, 0.5),
    },
    "fear": {
        "inner_brow_raise": (0.8, 1.0), "outer_brow_raise": (0.3, 0.7), "brow_lower": (0.5, 0.9),
        "upper_lid_raise": (0.8, 1.0), "lip_stretch": (0.7, 1.0), "lips_part": (0.6, 1.0),
        "jaw_drop": (0.0, 0.25),
    },
    "happy": {
        "cheek_raise": (0.5, 1.0), "lip_corner_pull": (0.7, 1.0), "lips_part": (0.0, 1.0),
        "jaw_drop": (0.0, 0.2),
    },
    "sad": {
        "inner_brow_raise": (0.8, 1.0), "brow_lower": (0.3, 0.7), "lip_corner_depress": (0.7, 1.0),
        "chin_raise": (0.2, 0.7), "lid_droop": (0.1, 0.35),
    },
    "surprise": {
        "inner_brow_raise": (0.8, 1.0), "outer_brow_raise": (0.8, 1.0), "upper_lid_raise": (0.5, 1.0),
        "jaw_drop": (0.6, 1.0), "lips_part": (0.3, 0.8),
    },
    "neutral": {},
}  # fmt: skip
_TRAITS = (
    "face_width", "face_length", "jaw_width", "eye_size", "eye_spacing", "brow_height", "brow_thickness",
    "nose_length", "nose_width", "mouth_width", "lip_fullness",
)  # fmt: skip
_FRACTIONS = ("skin_tone", "hair_tone", "eye_tone", "age", "clothes_tone")
_Values = dict[str, float | str | int]


def sample_parameters(emotion: int, rng: np.random.Generator, difficulty: float = 1.0) -> FaceParameters:
    """Return the parameters of a random face.

    Args:
        emotion: Class number in `fer.core.labels.FER7`.
        rng: Random generator.
        difficulty: 0 to 1. At 0 the expression is strong, and the face is frontal, centered, well lit, sharp
            and not occluded; at 1 all of this varies. Identity varies at any difficulty.

    Raises:
        FerError: An unknown emotion, or a difficulty outside [0, 1].
    """
    if not 0 <= emotion < len(FER7):
        names = ", ".join(f"{number} {name}" for number, name in enumerate(FER7.names))
        raise FerError(f"synthetic faces: expected an emotion from {names}; got {emotion!r}.")
    check_difficulty(difficulty)
    values = {
        **_expression(FER7.names[emotion], rng, difficulty),
        **_identity(rng),
        **_pose(rng, difficulty),
        **_light(rng, difficulty),
        **_degradations(rng, difficulty),
    }
    return FaceParameters(**values)  # type: ignore[arg-type]


def check_difficulty(difficulty: float) -> None:
    """Raise FerError unless the difficulty is in [0, 1]."""
    if not 0 <= difficulty <= 1:
        raise FerError(f"synthetic faces: expected a difficulty from 0 to 1, got {difficulty!r}.")


def _expression(name: str, rng: np.random.Generator, difficulty: float) -> _Values:
    prototype = _PROTOTYPES[name]
    intensity = 1 - difficulty * rng.uniform(0, 0.2)
    values: _Values = {action: intensity * rng.uniform(*bounds) for action, bounds in prototype.items()}
    # No face is completely at rest: other muscles may be slightly active.
    for action in (
        "inner_brow_raise",
        "outer_brow_raise",
        "brow_lower",
        "lip_corner_pull",
        "lip_corner_depress",
    ):
        values.setdefault(action, 0.12 * difficulty * rng.random())
    values["asymmetry"] = 0.5 * difficulty * rng.uniform(-1, 1)
    values["gaze_x"], values["gaze_y"] = (0.1 + 0.6 * difficulty) * rng.uniform(-1, 1, 2)
    return values


def _identity(rng: np.random.Generator) -> _Values:
    values: _Values = dict(zip(_TRAITS, rng.uniform(-1, 1, len(_TRAITS)).tolist(), strict=True))
    values |= dict(zip(_FRACTIONS, rng.random(len(_FRACTIONS)).tolist(), strict=True))
    # Dark skin is rarely combined with fair hair or light eyes.
    for name in ("hair_tone", "eye_tone"):
        values[name] = max(float(values[name]), min(1.0, 1.5 * float(values["skin_tone"]) - 0.25))
    values["hair_style"] = HAIR_STYLES[rng.integers(len(HAIR_STYLES))]
    values["hair_gray"] = rng.random() if rng.random() < 0.15 else 0.0
    has_beard = values["hair_style"] in ("bald", "short", "parted", "curly") and rng.random() < 0.3
    values["beard"] = (rng.uniform(0.1, 0.3), rng.uniform(0.7, 1))[rng.integers(2)] if has_beard else 0.0
    return values


def _pose(rng: np.random.Generator, difficulty: float) -> _Values:
    yaw, pitch, roll, x, y = (difficulty * rng.uniform(-1, 1, 5)).tolist()
    return {
        "yaw": 17 * yaw,
        "pitch": 11 * pitch,
        "roll": 11 * roll,
        "scale": 1 + 0.11 * difficulty * rng.uniform(-1, 1),
        "shift_x": 0.045 * x,
        "shift_y": 0.04 * y,
    }


def _light(rng: np.random.Generator, difficulty: float) -> _Values:
    around, above, strength, warmth = rng.uniform(-1, 1, 4).tolist()
    return {
        "light_azimuth": (30 + 35 * difficulty) * around,
        "light_elevation": 28 + 22 * above,
        "light_strength": 0.55 + 0.25 * difficulty * strength,
        "light_warmth": 0.7 * warmth,
        "brightness": 0.1 * difficulty * rng.uniform(-1, 1),
        "contrast": 1 + 0.15 * difficulty * rng.uniform(-1, 1),
    }


def _degradations(rng: np.random.Generator, difficulty: float) -> _Values:
    kind = ("hand", "panel")[rng.integers(2)] if rng.random() < 0.12 * difficulty else "none"
    return {
        "glasses": rng.uniform(0.6, 1) if rng.random() < 0.15 else 0.0,
        "occluder": kind,
        "occluder_size": rng.uniform(0.05, 0.3),
        "occluder_angle": rng.uniform(-180, 180),
        "blur": 0.007 * difficulty * rng.random(),
        "noise": 5 * difficulty * rng.random(),
        "texture_seed": int(rng.integers(2**32)),
    }
