"""The command line and the Python code that give the same answer as a page."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from fer.app.components.model_options import ModelOptions
from fer.app.settings import settings


def show_code(
    sources: Sequence[str],
    options: str = "",
    body: str = "",
    imports: str = "",
    chosen: ModelOptions | None = None,
    detector: str | None = None,
) -> None:
    """Show the command of fer-predict, and the code with `fer.Predictor`, that predict on these files.

    Args:
        sources: File names.
        options: Further options of the command.
        body: Code after the line that makes the ``predictor``; empty: print each face of the first file.
        imports: Further lines of imports.
        chosen: Model and threshold; None: the app's model, and the threshold of its card.
        detector: Name of the face detector; None: the app's.
    """
    used = _arguments(chosen, detector)
    flags = " ".join(f"--{name} {shlex.quote(str(value))}" for name, value in used.items())
    arguments = ", ".join(f"{name}={value!r}" for name, value in used.items())
    command = " ".join(filter(None, ("fer-predict", shlex.join(sources), flags, options)))
    body = body or (
        f"for face in predictor({sources[0]!r}):\n"
        "    print(face.label, face.confidence, face.uncertain, face.probabilities)"
    )
    with st.expander("Do this in code", icon=":material/code:"):
        # Without colours, whose contrast is too low, and without a scroll bar, which needs a focus.
        st.code(command, language=None, wrap_lines=True)
        code = f"from fer import Predictor\n{imports}\npredictor = Predictor({arguments})\n{body}"
        st.code(code, language=None, wrap_lines=True)


def _arguments(chosen: ModelOptions | None, detector: str | None) -> dict[str, str | float]:
    """Return the arguments that differ from the defaults; without paths of the server."""
    current = settings()
    model = Path(str(current.model)).name if current.model is not None else None
    threshold = None
    if chosen is not None:
        model, threshold = chosen.version.reference or model, chosen.own_threshold
    detector = detector or (current.detector if current.detector != "auto" else None)
    arguments = {"model": model, "detector": detector, "threshold": threshold}
    return {name: value for name, value in arguments.items() if value is not None}
