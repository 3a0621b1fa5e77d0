"""Headless Chromium for tests of HTML files, driven by Playwright."""

import shutil
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    """One tab of a browser.

    Args:
        chromium: A browser started by Playwright.

    Attributes:
        page: Playwright's page, after `open`.
        requests: URLs that the page requested.
    """

    def __init__(self, chromium):
        self._chromium, self._context, self.requests = chromium, None, []

    def open(self, path, width, height=900, dark=False):
        """Open a file at a width in CSS pixels; below 600, as on a phone."""
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
        """Return the value of a JavaScript expression; a promise is awaited."""
        return self.page.evaluate(script)

    def close(self):
        """Close the tab."""
        if self._context is not None:
            self._context.close()
