"""What a reader must know before believing a score: on which images, chosen how, seen before or not."""

from collections.abc import Iterator, Mapping
from typing import Any

from fer.analysis.ledger import History
from fer.analysis.section import Cell, Section, Table

SELECTION = "validation, selection split"
_TITLES = {"train": "training split", "test": "test", "all": "all splits", "val": "validation split"}
_NO_COPIES = "No image of it has the pixels of one in {}."


def standing(about: Mapping[str, Any]) -> str:
    """Say what a figure on these images is worth, in a few words.

    The split that early stopping and the choice of the checkpoint used is known by its pixels, whatever it is
    called now.
    """
    if _is_selection(about):
        return SELECTION
    title = _TITLES[about["role"]]
    return f"{title} of another data set" if about["other_data"] else title


def _is_selection(about: Mapping[str, Any]) -> bool:
    """Whether the images are those that selected the model; of the run's own set, going by the role too."""
    chosen = about["trained_on"].get("splits", {}).get("val", {})
    keys = ("pixels_sha256", "files_sha256")
    is_same = any(key in chosen and chosen[key] == about["manifest"].get(key) for key in keys)
    return is_same or (about["role"] == "val" and not about["other_data"])


def section(about: Mapping[str, Any], history: History) -> Section:
    """Tell how the score came about; what endangers it is in `warnings`.

    Args:
        about: Of the predictions.
        history: Test scores before this one.
    """
    words = [_images(about), *_labels(about), *_copies(about), _test_scores(about, history)]
    numbers = {
        "standing": standing(about),
        "left_out": about["left_out"],
        "absent": about["absent"],
        "changed": about["changed"],
        "seen": about["seen"],
        "earlier_scores": vars(history),
    }
    return Section("protocol", "How this was measured", words, [_manifest(about)], [], numbers)


def warnings(about: Mapping[str, Any], history: History) -> list[Section]:
    """Return the section that stands on top of a report, if there is anything to warn of."""
    words = list(_warnings(about, history))
    return [Section("warnings", "Read this first", words, warning=True)] if words else []


def _warnings(about: Mapping[str, Any], history: History) -> Iterator[str]:
    yield from _changes(about)
    yield from _seen(about)
    if about["has_test"] and history.same_recipe:
        scores = _scores(history.same_recipe)
        yield f"This recipe had {scores} on these test images before this one: {_whose(history)}."
    if history.damaged:
        yield f"Unreadable lines in the ledger of test scores: {history.damaged}. There may be more scores."


def _changes(about: Mapping[str, Any]) -> Iterator[str]:
    for role in about["changed"]:
        trainings = [about, *about.get("members", [])]
        name = next(one["trained_on"]["splits"][role]["split"] for one in trainings
                    if role in one["trained_on"]["splits"])  # fmt: skip
        yield (
            f"The data is not what the model was trained with: images or labels of its {role} split ({name}) "
            "differ from the manifest in the checkpoint."
        )
    if (recorded := about.get("recorded")) is not None:
        yield (
            f"The run recorded an accuracy of {recorded['then']:.1%} for this checkpoint and these images, "
            f"but it now has {recorded['now']:.1%}: the code of the model has changed since, or the data."
        )


def _seen(about: Mapping[str, Any]) -> Iterator[str]:
    n = about["manifest"]["count"]
    for role, count in about["seen"].items():
        if count:
            verb = "trained on" if role == "train" else "selected by"
            yield f"{count:,} of {n:,} images have the pixels of one that the model was {verb}."
    if about["role"] in ("train", "all") and not about["other_data"]:
        yield "The images that the model was trained on are among these: such figures say nothing of others."


def _scores(count: int) -> str:
    return "1 score" if count == 1 else f"{count} scores"


def _whose(history: History) -> str:
    others = history.same_recipe - history.same_model
    return f"{history.same_model} of these very weights, {others} of other seeds"


def _images(about: Mapping[str, Any]) -> str:
    count = about["manifest"]["count"]
    text = f"{count:,} images, split {about['split']} of {about['data']}: {standing(about)}."
    if standing(about) == SELECTION:
        text += (
            " Early stopping and the choice of the checkpoint used these images, so figures on them flatter."
        )
    if about["other_data"]:
        text += " The model was trained on another set."
    return text


def _labels(about: Mapping[str, Any]) -> Iterator[str]:
    if about["left_out"]:
        parts = ", ".join(f"{number:,} {why}" for why, number in about["left_out"].items())
        yield f"Images left out, as no answer of the model could be right or wrong on them: {parts}."
    if about["absent"]:
        yield (
            f"There is no image of {', '.join(about['absent'])}. The model may still answer so, and such an "
            "answer counts as wrong: a model in use is not told either what will not come."
        )


def _copies(about: Mapping[str, Any]) -> Iterator[str]:
    unknown = [role for role, count in about["seen"].items() if count is None]
    clean = [role for role, count in about["seen"].items() if count == 0]
    if clean:
        yield _NO_COPIES.format(" or ".join(f"the model's {role} split" for role in clean))
    if unknown:
        yield (
            f"Whether images of it are in the model's {' or '.join(unknown)} split was not checked: the data "
            "that it was trained on is not there, or stays on disk undecoded."
        )


def _test_scores(about: Mapping[str, Any], history: History) -> str:
    if not about["has_test"]:
        return "No test image is among them, so this is not entered in the ledger of test scores."
    return (
        "Test images are among them, so this is entered in the ledger of test scores. Before it, this recipe "
        f"had {_scores(history.same_recipe)} on them ({_whose(history)}); {history.recipes} recipes had any."
    )


def _manifest(about: Mapping[str, Any]) -> Table:
    manifest = about["manifest"]
    rows: list[tuple[Cell, ...]] = list(manifest.get("class_counts", {}).items())
    keys = ("pixels_sha256", "files_sha256", "labels_sha256", "votes_sha256")
    hashes = ", ".join(
        f"{key.replace('_sha256', '')} {manifest[key][:16]}…" for key in keys if key in manifest
    )
    return Table(("emotion, as the set labels it", "images"), rows, f"SHA-256 of the images: {hashes}.")
