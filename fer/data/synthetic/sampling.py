"""Sample random faces of an emotion: expressions from FACS prototypes, and everything else at random.

Prototypes follow Ekman & Friesen, "Unmasking the Face" (1975), and EMFACS (Friesen & Ekman 1983): happy
AU6+12, sad AU1+4+15, surprise AU1+2+5+26, fear AU1+2+4+5+20+25, angry AU4+5+7+23, disgust AU9+10+15.
"""

import numpy as np

from fer.data.synthetic.parameters import HAIR_STYLES, FaceParameters
from fer.errors import FerError
from fer.labels import FER7

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

Values = dict[str, float | str | int]


def sample_parameters(emotion: int, rng: np.random.Generator, difficulty: float = 1.0) -> FaceParameters:
    """Return the parameters of a random face.

    Args:
        emotion: Class number in `fer.labels.FER7`.
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


def _expression(name: str, rng: np.random.Generator, difficulty: float) -> Values:
    prototype = _PROTOTYPES[name]
    intensity = 1 - difficulty * rng.uniform(0, 0.2)
    values: Values = {action: intensity * rng.uniform(*bounds) for action, bounds in prototype.items()}
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


def _identity(rng: np.random.Generator) -> Values:
    values: Values = dict(zip(_TRAITS, rng.uniform(-1, 1, len(_TRAITS)).tolist(), strict=True))
    values |= dict(zip(_FRACTIONS, rng.random(len(_FRACTIONS)).tolist(), strict=True))
    # Dark skin is rarely combined with fair hair or light eyes.
    for name in ("hair_tone", "eye_tone"):
        values[name] = max(float(values[name]), min(1.0, 1.5 * float(values["skin_tone"]) - 0.25))
    values["hair_style"] = HAIR_STYLES[rng.integers(len(HAIR_STYLES))]
    values["hair_gray"] = rng.random() if rng.random() < 0.15 else 0.0
    has_beard = values["hair_style"] in ("bald", "short", "parted", "curly") and rng.random() < 0.3
    values["beard"] = (rng.uniform(0.1, 0.3), rng.uniform(0.7, 1))[rng.integers(2)] if has_beard else 0.0
    return values


def _pose(rng: np.random.Generator, difficulty: float) -> Values:
    yaw, pitch, roll, x, y = (difficulty * rng.uniform(-1, 1, 5)).tolist()
    return {
        "yaw": 17 * yaw,
        "pitch": 11 * pitch,
        "roll": 11 * roll,
        "scale": 1 + 0.11 * difficulty * rng.uniform(-1, 1),
        "shift_x": 0.045 * x,
        "shift_y": 0.04 * y,
    }


def _light(rng: np.random.Generator, difficulty: float) -> Values:
    around, above, strength, warmth = rng.uniform(-1, 1, 4).tolist()
    return {
        "light_azimuth": (30 + 35 * difficulty) * around,
        "light_elevation": 28 + 22 * above,
        "light_strength": 0.55 + 0.25 * difficulty * strength,
        "light_warmth": 0.7 * warmth,
        "brightness": 0.1 * difficulty * rng.uniform(-1, 1),
        "contrast": 1 + 0.15 * difficulty * rng.uniform(-1, 1),
    }


def _degradations(rng: np.random.Generator, difficulty: float) -> Values:
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
