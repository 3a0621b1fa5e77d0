"""Chromium without a window, through Playwright, for pages that lie on disk."""

import shutil
from pathlib import Path

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    """One tab. ``requests`` holds the address of everything that its page asked for.

    Args:
        chromium: A browser that Playwright started.
    """

    def __init__(self, chromium):
        self._chromium, self._context, self.requests = chromium, None, []

    def open(self, path, width, height=900, dark=False):
        """Show a file at a width in CSS pixels, as a phone does below 600."""
        self.close()
        self._context = self._chromium.new_context(
            viewport={"width": width, "height": height},
            is_mobile=width < 600,
            color_scheme="dark" if dark else "light",
        )
        self.page = self._context.new_page()
        self.requests.clear()
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(Path(path).as_uri())

    def evaluate(self, script):
        """Return the value of a JavaScript expression; a promise is waited for."""
        return self.page.evaluate(script)

    def close(self):
        """Close the tab."""
        if self._context is not None:
            self._context.close()
