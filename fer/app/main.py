"""Streamlit's main script: navigation, logo and footer of all pages. It runs again for every interaction."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import streamlit as st

from fer.app.uploads import handle_errors

# Module of `fer.app.pages`, title, icon. A module is imported on the first visit: the webcam's libraries take
# a second to load, and Streamlit finds their files only if they are imported while the server runs. Streamlit
# would also run the files of a folder called `pages` by itself until the first call of st.navigation;
# `fer.app.server` switches that off.
PAGES = (
    ("upload", "Images", ":material/image:"),
    ("webcam", "Webcam", ":material/videocam:"),
    ("video", "Video", ":material/movie:"),
    ("compare", "Compare", ":material/compare_arrows:"),
    ("card", "Model card", ":material/description:"),
)
FOOTER = "An expression is not a feeling: do not use this app to make decisions about people."
STYLE_SHEET = Path(__file__).with_name("theme.css")
_CONNECTION_SCRIPT = Path(__file__).with_name("connection.js")
_CONNECTION_LOST = (
    "This app does not answer: it was stopped, or the network is interrupted. The page connects again by "
    "itself as soon as it can. If you run the app yourself, start it again with fer-app in a terminal."
)
LOGO = Path(__file__).with_name("logo.svg").read_text(encoding="utf-8")


def main() -> None:
    """Show the requested page."""
    st.set_page_config(page_title="fer", page_icon=Path(__file__).with_name("logo.svg"), layout="centered")
    st.html(STYLE_SHEET)
    pages = [
        st.Page(_page(module), title=title, icon=icon, url_path=module, default=module == "upload")
        for module, title, icon in PAGES
    ]
    st.logo(LOGO, size="large")
    with handle_errors():
        chosen = st.navigation(pages, position="top")
        # On a phone, Streamlit hides its menu behind an icon.
        with st.container(key="phone_menu", horizontal=True):
            for page in pages:
                st.page_link(page)
        chosen.run()
    st.html(f'<footer class="fer-footer">{FOOTER}</footer>')
    _explain_lost_connection()


def _explain_lost_connection() -> None:
    """Show own words when the connection to the server is lost."""
    script = _CONNECTION_SCRIPT.read_text(encoding="utf-8")
    component = st.components.v2.component("fer_connection", js=script)
    component(key="connection", data={"message": _CONNECTION_LOST}, height=0)


def _page(module: str) -> Callable[[], None]:
    def show() -> None:
        with handle_errors():
            import_module(f"fer.app.pages.{module}").page()

    return show


if __name__ == "__main__":
    main()
