"""Accessibility of a page in Chromium, checked by axe-core."""

from importlib.util import find_spec
from pathlib import Path

import pytest

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# Streamlit's file uploader has the role `presentation` and a name; we cannot change that.
OF_STREAMLIT = frozenset({"presentation-role-conflict"})


def violations(page, ignored=frozenset()):
    """Return rule, HTML and explanation of each violation of a page of Playwright.

    axe-core is injected into the page: nothing is downloaded. Without it, the test is skipped.
    """
    spec = find_spec("axe_core_python")
    if spec is None:
        pytest.skip("needs axe-core-python (group dev)")
    page.evaluate((Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8"))
    result = page.evaluate("rules => axe.run({runOnly: {type: 'tag', values: rules}})", RULES)
    return [
        (violation["id"], node["html"][:160], node["failureSummary"][:300])
        for violation in result["violations"]
        if violation["id"] not in ignored
        for node in violation["nodes"]
    ]
