"""README.md of a bundle: its card in words, for somebody who has nothing but this folder."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fer.bundle.card import AT_REST, UNMEASURED, Card, CropRule

_SHOWN = {"accuracy": "accuracy", "macro_f1": "macro-F1", "uar": "UAR (balanced accuracy)"}
_NO_FEELING = (
    "An expression is not a feeling. The model says which emotion people would most likely name when they "
    "see this face; it does not know what the person feels. Do not decide about people with it: not in "
    "hiring, school, policing, insurance or medicine."
)
_RESIZE = (
    "Shrinking takes the mean over areas, enlarging is bilinear, and what lies beyond the picture repeats "
    "its edge. Other ways of resizing change up to one answer in ten on large faces."
)


def readme(card: Card) -> str:
    """Return the text of `README.md`."""
    parts = [_head(card), _use(card), _input(card), _output(card), _numbers(card), _making(card), _end(card)]
    return "\n\n".join(parts) + "\n"


def _head(card: Card) -> str:
    version = f", version {card.version}" if card.version else ""
    size = f"{card.model['bytes'] / 1e6:.1f} MB, {card.model['parameters'] / 1e6:.2f} million parameters"
    return (
        f"# {card.name}{version}\n\n"
        f"A model that names the emotion that a face shows: {card.model['architecture']}, {size}, "
        f"{card.precision}. `model.onnx` holds all of it, `card.json` describes it.\n\n{_NO_FEELING}"
    )


def _use(card: Card) -> str:
    return f"""## Use

With this package: `fer-predict photo.jpg --model FOLDER`. With ONNX Runtime and Pillow alone, on a picture
that is cut out already:

```python
import json
import numpy as np
import onnxruntime
from PIL import Image

card = json.load(open("card.json"))
session = onnxruntime.InferenceSession("model.onnx")
face = Image.open("face.png").convert("RGB")
shrinks = face.width > {card.image_size}
face = face.resize(({card.image_size}, {card.image_size}), Image.BOX if shrinks else Image.BILINEAR)
probabilities = session.run(["probabilities"], {{"faces": np.asarray(face)[None]}})[0][0]
print(dict(zip(card["labels"]["names"], probabilities.round(3).tolist())))
```"""


def _input(card: Card) -> str:
    side = card.image_size
    return f"""## What goes in

`faces`: whole numbers 0 to 255 (uint8), shape (N, {side}, {side}, 3), red, green and blue in this order,
any number N of faces. Gray pictures repeat their one channel three times. Scaling and normalisation happen
inside.

{_crop(card)}"""


def _crop(card: Card) -> str:
    crop = card.crop
    if not crop.points:
        known = f"Faces are cut out as in {crop.name}: "
        if crop.name == UNMEASURED:
            known = "How faces lay in the training pictures was not measured. This package cuts them out so: "
        turned = (
            "It is turned until the face is upright, where the detector shows eyes, nose and mouth: by the "
            "angle of the similarity (least squares) that lays these on those of a face at rest, below. "
            if crop.upright
            else ""
        )
        points = f"\n\n{_table(AT_REST)}" if crop.upright else ""
        return f"{known}{_by_the_box(crop)}. {turned}{_RESIZE}{points}"
    level = "with level eyes, " if crop.upright else ""
    return (
        f"Each is a square cut around the face ({level}as in {crop.name}) so that these points lie here, as "
        "shares of the side from the top left (right and left are the person's own):\n\n"
        f"{_table(crop.points)}\n\n"
        f"Without points: {_by_the_box(crop)}. {_RESIZE}"
    )


def _table(points: Sequence[tuple[float, float]]) -> str:
    names = ("right eye", "left eye", "tip of the nose", "right corner of the mouth", "left corner")
    rows = [f"| {name} | {x:.3f} | {y:.3f} |" for name, (x, y) in zip(names, points, strict=True)]
    return "\n".join(["| point | from the left | from the top |", "|---|---|---|", *rows])


def _by_the_box(crop: CropRule) -> str:
    square = f"a square of {crop.box_scale:g} times the longer side of the detector's box"
    if not crop.box_shift:
        return f"{square}, around its centre"
    way = "below" if crop.box_shift > 0 else "above"
    return f"{square}, its centre {abs(crop.box_shift):g} of that side {way} the box's"


def _output(card: Card) -> str:
    names = "\n".join(f"{place}. {name}" for place, name in enumerate(card.labels.names))
    text = (
        f"## What comes out\n\n`probabilities`: (N, {len(card.labels)}), one number for each emotion; they "
        f"sum to 1. In this order, counted from 0:\n\n{names}\n\n{_calibrated(card)}"
    )
    if card.abstain_below is not None:
        text += f" Call an answer uncertain when its highest probability is below {card.abstain_below:.2f}."
    elif card.export.get("calibration") is not None:
        text += " No confidence was high enough on validation to be relied on: take all answers as uncertain."
    if card.attention:
        text += f"\n\n`attention`: (N, {card.image_size}, {card.image_size}), where the model looks, 0 to 1."
    return text


def _calibrated(card: Card) -> str:
    if card.export.get("calibration") is None:
        return "They are not calibrated: they say which emotion is more likely, not how likely it is."
    return f"They are calibrated: the logits are divided by {card.temperature:.3f} inside the model."


def _numbers(card: Card) -> str:
    rows = [row for part in card.metrics.values() for row in _rows(part)]
    if not rows:
        return "## How good it is\n\nThat was not measured."
    table = "\n".join(["| images | n | figure | value | 95 % interval |", "|---|---|---|---|---|", *rows])
    warning = ""
    if any(part["selection_split"] for part in card.metrics.values()):
        warning = "\n\nThe model was chosen on the selection split, so figures on it flatter."
    return f"## How good it is\n\n{table}{warning}"


def _rows(part: Mapping[str, Any]) -> Iterator[str]:
    name = part["split"] + (", selection split" if part["selection_split"] else "")
    name += f" ({part['of']})" if part.get("of") else ""
    for key, title in _SHOWN.items():
        figure = part["figures"].get(key)
        if figure is None or figure["value"] is None:
            continue
        low, high = figure.get("low"), figure.get("high")
        interval = "not measured" if low is None else f"{100 * low:.1f} to {100 * high:.1f} %"
        yield f"| {name} | {part['n']:,} | {title} | {100 * figure['value']:.1f} % | {interval} |"


def _making(card: Card) -> str:
    members = [card.training, *card.training.get("members", [])]
    parts = ["## How it was made"]
    if len(members) > 1:
        parts.append(f"Its answer is the mean of the probabilities of {len(members)} models.")
    for number, one in enumerate(members, 1):
        parts += [f"Model {number}:", _training(one)] if len(members) > 1 else [_training(one)]
    if said := (card.export.get("quantisation") or {}).get("said"):
        parts.append(f"Quantisation: {said}")
    return "\n\n".join(parts)


def _training(about: Mapping[str, Any]) -> str:
    known = ("command", "experiment", "run", "seed", "epoch", "commit", "data")
    rows = [f"- {name}: {about[name]}" for name in known if about.get(name) is not None]
    if origin := about.get("init_from"):
        rows.append(f"- first weights: {origin['path']}, trained on {', '.join(origin.get('data') or ['?'])}")
    return "\n".join(rows)


def _end(card: Card) -> str:
    return f"## Licence\n\nData: {card.licence['data']}\n\nWeights: {card.licence['weights']}"
