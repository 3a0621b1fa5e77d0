"""Label spaces, spellings of emotions and mappings between label spaces."""

import json

import numpy as np
import pytest

from fer.core.errors import FerError
from fer.core.labels import (
    AFFECTNET8,
    ALIASES,
    EMOTION_COLORS,
    FER7,
    FERPLUS8,
    FURTHER_COLORS,
    OTHER_COLOR,
    RAFDB7,
    SPACES,
    LabelSpace,
    canonical_name,
    check_same_labels,
    contrast_ratio,
    emotion_colors,
    emotion_rgb,
    from_dict,
    mapping,
    text_color_on,
    to_dict,
)

# As published, including the spelling; RAF-DB counts from 1.
PUBLISHED = {
    "fer7": "0=Angry, 1=Disgust, 2=Fear, 3=Happy, 4=Sad, 5=Surprise, 6=Neutral",
    "ferplus8": "0=neutral, 1=happiness, 2=surprise, 3=sadness, 4=anger, 5=disgust, 6=fear, 7=contempt",
    "affectnet8": "0=Neutral, 1=Happy, 2=Sad, 3=Surprise, 4=Fear, 5=Disgust, 6=Anger, 7=Contempt",
    "rafdb7": "1=Surprise, 2=Fear, 3=Disgust, 4=Happiness, 5=Sadness, 6=Anger, 7=Neutral",
}


@pytest.mark.parametrize("name", SPACES)
def test_order_is_the_published_one(name):
    first = 1 if name == "rafdb7" else 0
    published = [entry.split("=") for entry in PUBLISHED[name].split(", ")]
    assert len(SPACES[name]) == len(published)
    for number, emotion in published:
        assert SPACES[name].index(emotion) == int(number) - first


@pytest.mark.parametrize("space", SPACES.values(), ids=str)
def test_spaces_share_one_vocabulary(space):
    assert set(space.names) <= set(ALIASES)
    assert len(set(space.names)) == len(space)
    assert SPACES[space.name] is space


def test_aliases_belong_to_one_emotion_each():
    names = [name for emotion, aliases in ALIASES.items() for name in (emotion, *aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("spelling", "emotion"),
    [
        ("Anger", "angry"),
        ("HAPPINESS", "happy"),
        (" surprised ", "surprise"),
        ("sadness", "sad"),
        ("Fearful", "fear"),
        ("contemptuous", "contempt"),
        ("disgusted", "disgust"),
        ("Neutral", "neutral"),
    ],
)
def test_spellings_are_mapped_to_the_canonical_name(spelling, emotion):
    assert canonical_name(spelling) == emotion
    assert AFFECTNET8.index(spelling) == AFFECTNET8.names.index(emotion)


def test_unknown_spelling_error_lists_known_names_and_suggests_the_nearest():
    with pytest.raises(FerError, match=r"angry, disgust.*'happyness'.*Did you mean 'happiness'"):
        canonical_name("happyness")


def test_index_of_an_emotion_not_in_the_label_space():
    with pytest.raises(FerError, match=r"fer7: expected one of angry, disgust, .*'contempt'"):
        FER7.index("contempt")


def test_index_works_for_a_custom_label_space():
    assert LabelSpace("mine", ("bored", "awake")).index("Awake") == 1


@pytest.mark.parametrize("source", SPACES.values(), ids=str)
@pytest.mark.parametrize("target", SPACES.values(), ids=str)
def test_mapping_keeps_the_emotion(source, target):
    numbers = mapping(source, target)
    assert numbers.dtype == np.int64
    assert numbers.shape == (len(source),)
    for name, number in zip(source.names, numbers, strict=True):
        assert (target.names[number] == name) if number >= 0 else (name not in target.names)


def test_mapping_is_minus_one_for_missing_emotions():
    assert mapping(FERPLUS8, FER7).tolist() == [6, 3, 5, 4, 0, 1, 2, -1]
    assert (mapping(RAFDB7, FERPLUS8) >= 0).all()


def test_check_same_accepts_equal_orders_under_any_name():
    check_same_labels(FER7, LabelSpace("copy", FER7.names), "here")


def test_check_same_shows_both_orders():
    with pytest.raises(FerError) as caught:
        check_same_labels(FER7, RAFDB7, "runs/best.ckpt")
    for part in ("runs/best.ckpt", ", ".join(FER7.names), ", ".join(RAFDB7.names)):
        assert part in str(caught.value)


@pytest.mark.parametrize("space", SPACES.values(), ids=str)
def test_dict_round_trips_through_json(space):
    assert from_dict(json.loads(json.dumps(to_dict(space)))) == space


def test_from_dict_accepts_a_custom_label_space():
    assert from_dict({"name": "mine", "names": ["a", "b"]}) == LabelSpace("mine", ("a", "b"))


def test_from_dict_refuses_a_known_name_with_another_order():
    entry = {"name": "fer7", "names": list(reversed(FER7.names))}
    with pytest.raises(FerError, match="expected the emotions of fer7 in this order: angry"):
        from_dict(entry)


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"name": "fer7"},
        {"name": 7, "names": ["a"]},
        {"name": "x", "names": "ab"},
        {"name": "x", "names": [1, 2]},
        {"name": "x", "names": []},
        {"name": "x", "names": ["a", "a"]},
        None,
    ],
)
def test_from_dict_refuses_invalid_entries(entry):
    with pytest.raises(FerError, match="Expected a label space"):
        from_dict(entry)


def test_other_labels_get_distinct_colors_that_no_emotion_of_the_space_has():
    colors = emotion_colors(("negative", "happy", "neutral", "positive"))
    assert colors["happy"] == EMOTION_COLORS["happy"]
    assert {colors["negative"], colors["positive"]} < set(EMOTION_COLORS.values())
    assert len(set(colors.values())) == 4
    # In any order, such as by probability.
    assert emotion_colors(("positive", "neutral", "happy", "negative")) == colors
    assert emotion_rgb("negative", colors) == tuple(bytes.fromhex(colors["negative"][1:]))


def test_colors_of_up_to_sixteen_labels_differ_and_carry_text():
    names = [*EMOTION_COLORS, *(f"state {number}" for number in range(9))]
    colors = emotion_colors(names)
    assert len(set(colors.values())) == 17
    assert colors["state 8"] == OTHER_COLOR
    for name in names:
        rgb = emotion_rgb(name, names)
        assert contrast_ratio(rgb, text_color_on(rgb)) >= 4.5


# Machado et al. 2009, severity 1, for linear RGB.
DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
}  # fmt: skip


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
@pytest.mark.parametrize(("count", "distance"), [(0, 27), (1, 26), (3, 24), (8, 18)])
def test_colors_stay_distinguishable(count, distance, deficiency):
    """In CIELAB, with D65 white."""
    codes = [*EMOTION_COLORS.values(), *FURTHER_COLORS[:count]]
    values = np.array([list(bytes.fromhex(code[1:])) for code in codes]) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(DEFICIENCIES[deficiency]).T, 0, 1)
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
              [0.0193339, 0.1191920, 0.9503041]]  # fmt: skip
    x, y, z = np.cbrt(np.maximum((seen @ np.array(to_xyz).T) / (0.95047, 1, 1.08883), 1e-9)).T
    lab = np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)
    distances = np.linalg.norm(lab[:, None] - lab[None], axis=2)[~np.eye(len(codes), dtype=bool)]
    assert distances.min() >= distance
