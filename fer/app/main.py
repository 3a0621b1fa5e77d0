"""The frame around all pages. Streamlit runs this file anew for every click of every visitor."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import streamlit as st

from fer.app.safety import explained

# Module, title, sign. A module is imported with the first visit: the webcam's libraries take a second.
# They lie in `views`: a folder called `pages` Streamlit would take for its own, and run its files alone.
PAGES = (
    ("upload", "Pictures", ":material/image:"),
    ("webcam", "Webcam", ":material/videocam:"),
    ("video", "Video", ":material/movie:"),
    ("compare", "Compare", ":material/compare_arrows:"),
    ("card", "Model card", ":material/description:"),
)
FOOT = "An expression is not a feeling: do not decide about people with it."
THEME = Path(__file__).with_name("theme.css")
LOGO = Path(__file__).with_name("logo.svg").read_text(encoding="utf-8")


def main() -> None:
    """Show the page that was asked for."""
    st.set_page_config(page_title="fer", page_icon=Path(__file__).with_name("logo.svg"), layout="centered")
    st.html(THEME)
    pages = [
        st.Page(_page(module), title=title, icon=icon, url_path=module, default=module == "upload")
        for module, title, icon in PAGES
    ]
    st.logo(LOGO, size="large")
    with explained():
        st.navigation(pages, position="top").run()
    st.html(f'<footer class="fer-foot">{FOOT}</footer>')


def _page(module: str) -> Callable[[], None]:
    def show() -> None:
        with explained():
            import_module(f"fer.app.views.{module}").page()

    return show


if __name__ == "__main__":
    main()
