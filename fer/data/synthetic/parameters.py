"""Parameters of a synthetic face, and how they are sampled at random.

Expression, identity, pose, light and image degradations.
"""

from dataclasses import dataclass

import numpy as np

from fer.core.labels import FER7

HAIR_STYLES = ("bald", "short", "parted", "fringe", "long", "bun", "curly")


@dataclass(frozen=True)
class FaceParameters:
    """The parameters of one synthetic face. The defaults give an average, neutral, frontal, evenly lit face.

    Each muscle action has its number in the Facial Action Coding System (Ekman & Friesen 1978) and a strength
    in [0, 1]. Traits range from -1 to 1 with an average of 0. Left and right are the viewer's. Values are not
    checked.
    """

    # Expression
    inner_brow_raise: float = 0  # AU1
    outer_brow_raise: float = 0  # AU2
    brow_lower: float = 0  # AU4
    upper_lid_raise: float = 0  # AU5
    cheek_raise: float = 0  # AU6
    lid_tighten: float = 0  # AU7
    nose_wrinkle: float = 0  # AU9
    upper_lip_raise: float = 0  # AU10
    lip_corner_pull: float = 0  # AU12
    lip_corner_depress: float = 0  # AU15
    chin_raise: float = 0  # AU17
    lip_stretch: float = 0  # AU20
    lip_tighten: float = 0  # AU23
    lips_part: float = 0  # AU25
    jaw_drop: float = 0  # AU26
    lid_droop: float = 0  # AU43; 1 closes the eyes
    asymmetry: float = 0  # -1 / 1: the right / left half is 40 % weaker
    gaze_x: float = 0  # 1: as far right as the iris goes
    gaze_y: float = 0  # 1: as far down

    # Identity
    face_width: float = 0
    face_length: float = 0
    jaw_width: float = 0
    eye_size: float = 0
    eye_spacing: float = 0
    brow_height: float = 0
    brow_thickness: float = 0
    nose_length: float = 0
    nose_width: float = 0
    mouth_width: float = 0
    lip_fullness: float = 0
    skin_tone: float = 0.3  # 0 lightest, 1 darkest
    hair_style: str = "short"  # one of HAIR_STYLES
    hair_tone: float = 0.8  # 0 blond, 1 black
    hair_gray: float = 0  # 0 to 1
    eye_tone: float = 0.7  # 0 blue, 1 dark brown
    beard: float = 0  # 0 shaven, 1 full
    age: float = 0.2  # depth of the folds
    clothes_tone: float = 0.5  # hue, once around the color circle

    # Pose and framing
    yaw: float = 0  # degrees, -40 to 40; positive turns the face to the right of the image
    pitch: float = 0  # degrees, -30 to 30; positive lifts the chin
    roll: float = 0  # degrees, -45 to 45; positive turns clockwise
    scale: float = 1  # 0.5 to 1.5; 1: the head fills 90 % of the image's height
    shift_x: float = 0  # -0.25 to 0.25; fraction of the image's side, to the right
    shift_y: float = 0  # -0.25 to 0.25; fraction of the image's side, down

    # Light
    light_azimuth: float = -25  # degrees, -80 to 80; positive: from the right
    light_elevation: float = 30  # degrees, -30 to 70; positive: from above
    light_strength: float = 0.55  # fraction of the light that is directional
    light_warmth: float = 0  # -1 bluish, 1 yellowish
    brightness: float = 0  # -0.5 to 0.5; fraction of full scale
    contrast: float = 1  # 0.3 to 1.7; around mid-gray

    # Degradations
    glasses: float = 0  # opacity of the frame; 0 for none
    occluder: str = "none"  # none, hand or panel
    occluder_size: float = 0.4  # how far it extends; 1 covers about half the face
    occluder_angle: float = 120  # degrees; side that it comes from, 0 right, 90 below
    blur: float = 0  # 0 to 0.05; standard deviation, fraction of the image's side
    noise: float = 0  # 0 to 40; standard deviation, gray levels of 255
    texture_seed: int = 0  # 32 bits; background, strands and noise


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
_RESTLESS = ("inner_brow_raise", "outer_brow_raise", "brow_lower", "lip_corner_pull", "lip_corner_depress")
_FRACTIONS = ("skin_tone", "hair_tone", "eye_tone", "age", "clothes_tone")
_Values = dict[str, float | str | int]


def sample_parameters(emotion: int, rng: np.random.Generator, difficulty: float = 1.0) -> FaceParameters:
    """Return the parameters of a random face.

    Args:
        emotion: Class number in `fer.core.labels.FER7`.
        rng: Random generator.
        difficulty: 0 to 1. At 0 the expression is strong, and the face is frontal, centered, well lit, sharp
            and not occluded; at 1 all of this varies. Identity varies at any difficulty.
    """
    values = {
        **_expression(FER7.names[emotion], rng, difficulty),
        **_identity(rng),
        **_pose(rng, difficulty),
        **_light(rng, difficulty),
        **_degradations(rng, difficulty),
    }
    return FaceParameters(**values)  # type: ignore[arg-type]


def _expression(name: str, rng: np.random.Generator, difficulty: float) -> _Values:
    intensity = 1 - difficulty * rng.uniform(0, 0.2)
    ranges = _PROTOTYPES[name].items()
    values: _Values = {action: intensity * rng.uniform(*strength) for action, strength in ranges}
    # No face is completely at rest: other muscles may be slightly active.
    for action in _RESTLESS:
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
