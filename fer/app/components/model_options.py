"""Choice of the model, the confidence threshold and the smoothing; a visitor has the same on all pages."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import streamlit as st

from fer.app.comparison import unique_versions
from fer.app.components.html import parts
from fer.app.resources import Version, get_predictor, list_versions
from fer.app.uploads import escape_markdown
from fer.predict.predictor import Predictor

# Smoothing in seconds: the default, as for fer-predict, and the longest that can be chosen.
DEFAULT_SMOOTH, _MAX_SMOOTH = 0.5, 3.0
# Keys of widgets; that of the threshold is followed by the title of the model.
_MODEL, _THRESHOLD, _SMOOTH = "options_model", "options_threshold ", "options_smooth"


@dataclass(frozen=True)
class ModelOptions:
    """What a visitor has chosen.

    Attributes:
        version: The model.
        uncertain_below: A prediction with a lower confidence is uncertain; None: none is.
        smooth: Seconds over which the probabilities of a face in a video are averaged.
    """

    version: Version
    uncertain_below: float | None
    smooth: float = DEFAULT_SMOOTH

    @property
    def own_threshold(self) -> float | None:
        """The threshold if it is another one than the card's, else None; 0: no prediction is uncertain."""
        is_card = self.uncertain_below == self.version.card.uncertain_below
        return None if is_card else self.uncertain_below or 0.0

    def predictor(self) -> Predictor:
        """Return the predictor of the model, with the threshold of its card, shared by all visitors."""
        return get_predictor(self.version.reference)


def choose_model(smoothing: bool = False) -> ModelOptions:
    """Show the choice of model and thresholds in a closed box, and return what the visitor has chosen.

    A page calls it once. It takes ``predictor()`` for new predictions, and applies the threshold to those
    that exist: `fer.predict.predictor.with_threshold` for images, ``FaceTracker(options.smooth,
    options.uncertain_below)`` for videos and cameras. ``show_code(…, chosen=options)`` names the choice.

    Args:
        smoothing: Also show the smoothing.
    """
    versions = {version.title: version for version in unique_versions(list_versions())}
    box = st.container(key="model_options")
    label = _label(versions, smoothing)
    with box, st.expander(label, icon=":material/tune:", key="options_box"):
        columns = st.columns(3 if smoothing else 2, gap="large")
        title = columns[0].selectbox("Model", [*versions], key=_MODEL, persist_state="session")
        version = versions[title]
        with columns[1]:
            threshold = _choose_threshold(version)
        smooth = DEFAULT_SMOOTH
        if smoothing:
            with columns[2]:
                smooth = _choose_smoothing()
    return ModelOptions(version, threshold, smooth)


def _label(versions: dict[str, Version], smoothing: bool) -> str:
    """Return e.g. ``Model fast:3 · uncertain below 46 %``, for a visitor who leaves the box closed."""
    title = st.session_state.get(_MODEL)
    if title not in versions:
        title = next(iter(versions))
    card = _percent(versions[title].card.uncertain_below)
    percent = st.session_state.get(_THRESHOLD + title, card)
    texts = [
        f"Model **{escape_markdown(title)}**",
        f"uncertain below {percent} %" if percent else "no threshold",
    ]
    if smoothing:
        texts.append(f"smoothed over {st.session_state.get(_SMOOTH, DEFAULT_SMOOTH):.1f} s")
    return " · ".join(texts)


def _choose_threshold(version: Version) -> float | None:
    """Return the confidence below which a prediction is uncertain."""
    card = version.card.uncertain_below
    default = _percent(card)
    percent = _marked_slider(
        "Confidence threshold",
        (0, 100, 1, default),
        _THRESHOLD + version.title,
        "%d %%",
        "A prediction with a lower confidence is marked as uncertain. The card's threshold was chosen on "
        "validation images.",
        "card: none" if card is None else f"card: {default} %",
        "Back to the card's threshold",
    )
    # The card's value is not a whole number of percent.
    return card if percent == default else percent / 100


def _percent(threshold: float | None) -> int:
    return round(100 * (threshold or 0.0))


def _choose_smoothing() -> float:
    """Return the seconds over which probabilities are averaged."""
    return _marked_slider(
        "Smoothing",
        (0.0, _MAX_SMOOTH, 0.1, DEFAULT_SMOOTH),
        _SMOOTH,
        "%.1f s",
        "The probabilities of a face are averaged over this time. 0: each frame by itself.",
        f"default: {DEFAULT_SMOOTH:.1f} s",
        "Back to the default",
    )


def _marked_slider(
    label: str, numbers: tuple[Any, Any, Any, Any], key: str, form: str, text: str, mark: str, back: str
) -> Any:
    """Show a slider with a mark at its default, and a button that sets it to the default; return its value.

    Args:
        label: Its label.
        numbers: Lowest and highest value, step, default.
        key: Key in the session.
        form: Format of a value.
        text: Explanation.
        mark: Text of the mark.
        back: Text of the button.
    """
    low, high, step, default = numbers
    # Not an argument of the widget: its value in the session takes precedence, and Streamlit would warn.
    st.session_state.setdefault(key, default)
    value = st.slider(label, low, high, step=step, key=key, format=form, help=text, persist_state="session")
    st.html(parts.mark(mark, (default - low) / (high - low)))
    reset = partial(st.session_state.__setitem__, key, default)
    is_default = value == default
    icon = ":material/undo:"
    st.button(back, key=f"reset_{key}", on_click=reset, disabled=is_default, icon=icon, type="tertiary")
    return value
