"""The report sections on the protocol: warnings, which images were scored, and their role in training."""

from collections.abc import Iterator

from fer.analysis.about import About
from fer.analysis.report.document import Cell, Section, Table
from fer.bundle.card import CALIBRATED_ON
from fer.core.text import agree, counted
from fer.evaluation.ledger import History
from fer.evaluation.sections.exported import foreign_models, specs, unknown_training
from fer.evaluation.sections.faces import missed_faces

# Label of the split that selected the model
SELECTION = "validation, selection split"
_TITLES = {"train": "training split", "test": "test", "all": "all splits", "val": "validation split"}


def protocol_section(about: About, history: History) -> Section:
    """Return the section on how the score was measured. Problems are in `warning_sections` instead."""
    paragraphs = [_images(about), *_teachers(about), *_labels(about), *_duplicates(about)]
    paragraphs.append(_test_scores(about, history))
    numbers = {
        "standing": split_label(about),
        "left_out": about.left_out,
        "absent": about.absent,
        "changed": about.changed,
        "seen": about.seen,
        "earlier_scores": vars(history),
    }
    tables = [_manifest(about), *specs(about)]
    return Section("protocol", "How this was measured", paragraphs, tables, [], numbers)


def warning_sections(about: About, history: History) -> list[Section]:
    """Return the warning section for the top of the report, or an empty list."""
    paragraphs = list(_warnings(about, history))
    return [Section("warnings", "Read this first", paragraphs, warning=True)] if paragraphs else []


def _warnings(about: About, history: History) -> Iterator[str]:
    yield from map(unknown_training, foreign_models(about))
    yield from missed_faces(about)
    yield from _calibrated(about)
    yield from _changes(about)
    yield from _seen_images(about)
    if about.has_test and history.same_recipe:
        scores, by_model = _earlier_scores(history)
        yield f"This recipe had {scores} on these test images before this one: {by_model}."
    if history.damaged:
        yield f"Unreadable lines in the ledger of test scores: {history.damaged}. There may be more scores."


def _changes(about: About) -> Iterator[str]:
    for role in about.changed:
        models = [about, *about.members]
        name = next(model.trained_on["splits"][role]["split"] for model in models
                    if role in model.trained_on["splits"])  # fmt: skip
        yield (
            f"The data has changed since training: images or labels of the {role} split ({name}) differ from "
            "the manifest in the checkpoint."
        )
    if (recorded := about.recorded) is not None:
        yield (
            f"The run recorded an accuracy of {recorded['then']:.1%} for this checkpoint and these images, "
            f"but the accuracy is now {recorded['now']:.1%}. The code of the model or the data has changed "
            "since."
        )


def _calibrated(about: About) -> Iterator[str]:
    """Yield the warning on an exported model that fer-models calibrate has fitted to these images."""
    # Of photographs, the found faces: a missed one cannot be fitted to.
    scored = about.manifest if about.faces is None else about.faces.get("hashes", {})
    for model in (about, *about.members):
        fitted = model.trained_on.get(CALIBRATED_ON, {})
        keys = {"pixels_sha256", "labels_sha256"} & fitted.keys()
        if keys and all(fitted[key] == scored.get(key) for key in keys):
            yield (
                f"The temperature and threshold of {model.run}, and its class priors if it has any, were "
                "fitted to these images, so its probabilities look better here than they are. Its card has "
                "cross-fitted scores."
            )


def _seen_images(about: About) -> Iterator[str]:
    n = about.manifest["count"]
    for role, count in about.seen.items():
        if count:
            use = "training" if role == "train" else "model selection"
            have = agree(count, "has", "have")
            images = f"{count:,} of {counted(n, 'image')}"
            yield f"{images} {have} the same pixels as an image that was used for {use}."
    if about.role in ("train", "all") and not about.other_data:
        yield (
            "These images include the training images of the model, so the scores do not show how it "
            "performs on new images."
        )


def _earlier_scores(history: History) -> tuple[str, str]:
    """Return the number of earlier scores of the recipe, and of which models they are."""
    count, same_model = history.same_recipe, history.same_model
    which = f"{same_model} of these exact weights, {count - same_model} of other seeds"
    return counted(count, "score"), which


def split_label(about: About) -> str:
    """Return a short label for the kind of split that was scored, such as ``validation, selection split``.

    The split that early stopping and checkpoint selection used is recognized by the hash of its images, so it
    gets that label even under another name.
    """
    selection = about.trained_on.get("splits", {}).get("val", {})
    keys = ("pixels_sha256", "files_sha256")
    is_same = any(key in selection and selection[key] == about.manifest.get(key) for key in keys)
    if is_same or (about.role == "val" and not about.other_data):
        return SELECTION
    is_other = about.other_data and about.spec is None
    return f"{_TITLES[about.role]}{' of another data set' if is_other else ''}"


def _images(about: About) -> str:
    count = about.manifest["count"]
    text = f"{counted(count, 'image')}, split {about.split} of {about.data}: {split_label(about)}."
    if split_label(about) == SELECTION:
        text += (
            " Early stopping and checkpoint selection used these images, so scores on them are too high: "
            "they have a selection bias."
        )
    if about.other_data and not about.is_foreign:
        text += " The model was trained on another data set."
    return text


def _teachers(about: About) -> Iterator[str]:
    for teacher in about.teachers:
        data = ", ".join(teacher["data"]) or "unknown data"
        yield (
            "The model learned from the answers of a teacher as well as from labels: "
            f"{teacher['path']}, trained on {data}."
        )


def _labels(about: About) -> Iterator[str]:
    if about.left_out:
        parts = ", ".join(f"{number:,} {reason}" for reason, number in about.left_out.items())
        yield f"Images left out because no prediction for them can be right or wrong: {parts}."
    if about.absent:
        yield (
            f"There is no image of {', '.join(about.absent)}. The model can still predict these emotions, "
            "and such a prediction counts as wrong, because in practice it is also unknown which emotions "
            "will not occur."
        )


def _duplicates(about: About) -> Iterator[str]:
    unknown = [role for role, count in about.seen.items() if count is None]
    clean = [role for role, count in about.seen.items() if count == 0]
    if clean:
        splits = " or ".join(f"the model's {role} split" for role in clean)
        yield f"No image has the same pixels as an image in {splits}."
    if unknown and about.is_foreign:
        yield "Whether these images are among the training images was not checked: those are not known."
    elif unknown:
        yield (
            f"Overlap with the model's {' or '.join(unknown)} split was not checked: the training data is "
            "not available, or is not held in memory in the same format."
        )


def _test_scores(about: About, history: History) -> str:
    if not about.has_test:
        return (
            "These images include no test image, so this score is not recorded in the ledger of test scores."
        )
    scores, by_model = _earlier_scores(history)
    return (
        "These images include test images, so this score is recorded in the ledger of test scores. Before "
        f"it, this recipe had {scores} on them ({by_model}). Recipes with any score on them: "
        f"{history.recipes}."
    )


def _manifest(about: About) -> Table:
    manifest = about.manifest
    rows: list[tuple[Cell, ...]] = list(manifest.get("class_counts", {}).items())
    keys = ("pixels_sha256", "files_sha256", "labels_sha256", "votes_sha256")
    hashes = ", ".join(
        f"{key.removesuffix('_sha256')} {manifest[key][:16]}…" for key in keys if key in manifest
    )
    caption = f"SHA-256 of the images: {hashes}."
    return Table(("emotion in the data set", "images"), rows, caption, "images_by_emotion")
