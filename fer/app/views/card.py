"""The page of the model card: what the model is, how good, where it fails, and what it is not for."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from fer.app import card_words as words
from fer.app.comparing import distinct
from fer.app.facts import by_emotion, main_part
from fer.app.intake import escaped
from fer.app.parts import tables
from fer.app.serving import Version, versions
from fer.bundle.card import Card


def page() -> None:
    """Show the card of the app's own model, or of a version that the visitor chooses."""
    st.html(tables.STYLE)
    st.title("Model card")
    card = _choose(distinct(versions())).card
    part = main_part(card)
    st.warning(words.WARNING, icon=":material/warning:")
    st.markdown(escaped(words.summary(card)))
    st.markdown(escaped(words.confidence(card)))
    _show_figures(part)
    _show_emotions(card, part)
    _show_confusion(card, part)
    _show_limits(card, part)
    _show_origin(card)


def _choose(known: list[Version]) -> Version:
    """Return the version to show; there is nothing to choose where there is but one."""
    if len(known) == 1:
        st.caption(escaped(known[0].title))
        return known[0]
    return st.selectbox("Model", known, format_func=lambda version: version.title)


def _show_figures(part: Mapping[str, Any]) -> None:
    st.header("How good it is")
    st.markdown(escaped(words.on_which_images(part)))
    found = words.overall(part)
    if found:
        st.html(tables.facts(found))


def _show_emotions(card: Card, part: Mapping[str, Any]) -> None:
    emotions = by_emotion(card, part)
    if not emotions:
        return
    st.header("By emotion")
    st.markdown(
        "F1 joins two questions: of the faces called so, how many were (precision), and of those that were, "
        "how many were found (recall). The thin line is the 95 % interval."
    )
    st.html(tables.emotion_bars(emotions))


def _show_confusion(card: Card, part: Mapping[str, Any]) -> None:
    st.header("What is taken for what")
    counts = part.get("confusion")
    if not counts:
        st.markdown("This card has no confusion matrix: it is of an older export. Export the model again.")
        return
    st.markdown(escaped(words.most_confused(card.labels.names, counts)))
    caption = (
        "Confusion matrix: a row for each emotion shown, a column for each answer. Percent of the row, below "
        "it the images; right answers are framed."
    )
    st.html(tables.confusion(card.labels.names, counts, caption))


def _show_limits(card: Card, part: Mapping[str, Any]) -> None:
    st.header("Limits")
    st.markdown("\n".join(f"- {escaped(limit)}" for limit in words.limits(card, by_emotion(card, part))))
    st.header("Licence")
    st.markdown(
        f"**Data.** {escaped(card.licence['data'])}\n\n**Weights.** {escaped(card.licence['weights'])}"
    )


def _show_origin(card: Card) -> None:
    with st.expander("How it was made"):
        st.html(tables.facts(words.origin(card)))
