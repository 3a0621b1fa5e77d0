"""Model card page: what the model is, its metrics, errors, limitations and licence."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from fer.app import card_text
from fer.app.card_text import primary_metrics, scores_by_emotion
from fer.app.comparison import unique_versions
from fer.app.components.html import parts
from fer.app.resources import Version, list_versions
from fer.app.uploads import escape_markdown
from fer.bundle.card import Card


def page() -> None:
    """Show the card of the app's model, or of a version that the visitor selects."""
    st.title("Model card")
    card = _select(unique_versions(list_versions())).card
    metrics = primary_metrics(card)
    st.warning(card_text.WARNING, icon=":material/warning:")
    st.markdown(escape_markdown(card_text.summary(card)))
    st.markdown(escape_markdown(card_text.describe_calibration(card)))
    _show_metrics(metrics)
    _show_emotions(card, metrics)
    _show_confusion(card, metrics)
    _show_limitations(card, metrics)
    _show_provenance(card)


def _select(versions: list[Version]) -> Version:
    """Return the version to show; a single one needs no selection."""
    if len(versions) == 1:
        st.caption(escape_markdown(versions[0].title))
        return versions[0]
    return st.selectbox("Model", versions, format_func=lambda version: version.title)


def _show_metrics(metrics: Mapping[str, Any]) -> None:
    st.header("Metrics")
    st.markdown(escape_markdown(card_text.describe_metrics(metrics)))
    values = card_text.overall_metrics(metrics)
    if values:
        st.html(parts.facts(values))


def _show_emotions(card: Card, metrics: Mapping[str, Any]) -> None:
    emotions = scores_by_emotion(card, metrics)
    if not emotions:
        return
    st.header("Metrics by emotion")
    st.markdown(
        "Precision: the fraction of the predictions of an emotion that are correct. Recall: the fraction of "
        "the images of an emotion that are predicted as such. F1: their harmonic mean. The thin line is the "
        "95 % confidence interval."
    )
    st.html(parts.scores(sorted(emotions, key=lambda emotion: -emotion.f1.get("value", -1.0))))


def _show_confusion(card: Card, metrics: Mapping[str, Any]) -> None:
    st.header("Confusion matrix")
    counts = metrics.get("confusion")
    if not counts:
        st.markdown(
            "This card has no confusion matrix: it was written by an older version. Export the model again."
        )
        return
    st.markdown(escape_markdown(card_text.most_frequent_error(card.labels.names, counts)))
    caption = (
        "Confusion matrix: a row for each true emotion, a column for each predicted emotion. Each cell has "
        "the percentage of its row and the number of images; correct predictions are outlined."
    )
    st.html(parts.confusion(card.labels.names, counts, caption))


def _show_limitations(card: Card, metrics: Mapping[str, Any]) -> None:
    st.header("Limitations")
    limitations = card_text.limitations(card, scores_by_emotion(card, metrics))
    st.markdown("\n".join(f"- {escape_markdown(text)}" for text in limitations))
    st.header("Licence")
    data, weights = (escape_markdown(card.licence[key]) for key in ("data", "weights"))
    st.markdown(f"**Data.** {data}\n\n**Weights.** {weights}")


def _show_provenance(card: Card) -> None:
    with st.expander("How the model was trained"):
        st.html(parts.terms(card_text.provenance(card)))
