"""`README.md` for the Hugging Face Hub: the metadata that its search and pages read, and the model card."""

from collections.abc import Iterator, Mapping
from typing import Any

from fer.bundle.card import BEFORE_CALIBRATION, CALIBRATION, Card, model_name, trainings
from fer.bundle.readme import readme
from fer.core.errors import FerError
from fer.core.hub import HubReference

LICENSE = "LICENSE"
OTHER = "other"
LIBRARY = "fer-lightning"
_TASK = "image-classification"
_TAGS = (_TASK, "facial-expression-recognition", "emotion-recognition", "onnx")
# Data set of the figures of a later calibration.
OWN_IMAGES = "own-images"
# Metric of a card -> its type on the Hub and its name.
_METRICS = {
    "accuracy": ("accuracy", "accuracy"),
    "macro_f1": ("f1", "macro-F1"),
    "uar": ("recall", "UAR (macro recall)"),
    "log_loss": ("log_loss", "log loss"),
    "ece_mass": ("expected_calibration_error", "expected calibration error"),
}
# Licences of the Hub for what may not be used in products.
_NON_COMMERCIAL = (OTHER, "cc-by-nc")


def hub_readme(card: Card, reference: HubReference, licence: str = OTHER) -> str:
    """Return the text of `README.md`: YAML metadata and the model card.

    Args:
        card: The model's card.
        reference: Its place on the Hub.
        licence: Identifier of its licence on the Hub; ``other``: the terms of the card, in `LICENSE`.

    Raises:
        FerError: The licence permits what the card does not.
    """
    from huggingface_hub import ModelCardData

    is_restricted = "research" in card.licence["weights"].lower()
    if is_restricted and not licence.startswith(_NON_COMMERCIAL):
        raise FerError(
            f"--license {licence}: expected other or a non-commercial licence (cc-by-nc-4.0), as "
            "the weights are for research only. Omit --license."
        )
    is_other = licence == OTHER
    data = ModelCardData(
        license=licence,
        license_name=("research-only" if is_restricted else "see-license-file") if is_other else None,
        license_link=LICENSE if is_other else None,
        library_name=LIBRARY,
        pipeline_tag=_TASK,
        tags=[*_TAGS, str(card.model["architecture"]), card.precision],
        datasets=data_names(card) or None,
        metrics=list(dict.fromkeys(result.metric_type for result in _results(card))) or None,
        model_name=card.name,
        eval_results=list(_results(card)) or None,
    )
    text = readme(card).replace("--model FOLDER", f"--model {reference}")
    return f"---\n{data.to_yaml()}\n---\n\n{text}"


def licence_text(card: Card) -> str:
    """Return the terms of the card, as the text of `LICENSE`."""
    return f"{model_name(card)}\n\nWeights: {card.licence['weights']}\n\nData: {card.licence['data']}\n"


def data_names(card: Card) -> list[str]:
    """Return the names of the data sets that the model has learned from, also by weights and teachers."""
    return list(dict.fromkeys(name for training in trainings(card) for name in _training_data(training)))


def _training_data(training: Mapping[str, Any]) -> Iterator[str]:
    data = training.get("recipe", {}).get("datamodule") or {}
    sources = data.get("sources") or [data or {"name": training.get("data")}]
    for source in sources:
        yield from [source["name"]] if source.get("name") else []
        yield from ["ferplus"] if source.get("votes") else []
    for origin in [training.get("init_from"), *(training.get("teachers") or [])]:
        while origin:
            yield from origin.get("data") or []
            origin = origin.get("init_from")


def _results(card: Card) -> Iterator[Any]:
    """Yield the measured metrics as `huggingface_hub.EvalResult`: each with its split, n and interval."""
    from huggingface_hub import EvalResult

    for role, part in card.metrics.items():
        if role == BEFORE_CALIBRATION:
            # Of the model that was calibrated, which is another.
            continue
        kind = "validation, selection split" if part["selection_split"] else role
        data = OWN_IMAGES if role == CALIBRATION else str(card.training.get("data") or "unknown")
        of = f", {part['of']}" if part.get("of") else ""
        for key, (metric, title) in _METRICS.items():
            estimate = part["figures"].get(key)
            if estimate is None or estimate["value"] is None:
                continue
            fitted = key in part.get("cross_fitted", {}).get("figures", ())
            yield EvalResult(
                task_type=_TASK,
                task_name="facial expression recognition",
                dataset_type=data,
                dataset_name=f"{part['split']} ({kind}, n = {part['n']:,}{of})",
                dataset_split=part["split"],
                dataset_args={"n": part["n"], "role": kind},
                metric_type=metric,
                metric_value=round(estimate["value"], 4),
                metric_name=f"{title}, cross-fitted" if fitted else title,
                metric_args=_interval(estimate),
            )


def _interval(estimate: Mapping[str, Any]) -> dict[str, Any] | None:
    if estimate.get("low") is None or estimate.get("high") is None:
        return None
    return {"interval_95": [round(estimate["low"], 4), round(estimate["high"], 4)]}
