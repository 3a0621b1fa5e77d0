"""Take screenshots of the app for docs/app.md and the README. They show synthetic faces only.

uv run python scripts/app_pictures.py --models models/          # at least two versions, see docs/app.md
"""

import argparse
import shutil
from pathlib import Path

from load_app import server
from PIL import Image

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
SIZE = {"width": 1280, "height": 900}


def open_page(context, url, page):
    """Open a page and wait until it has loaded."""
    tab = context.new_page()
    tab.goto(f"{url}/{page}")
    tab.wait_for_selector(".fer-footer", timeout=60_000)
    return tab


def screenshot(tab, path, bottom):
    """Save a screenshot from the top of a page to the bottom of an element, with 256 colours."""
    tab.wait_for_timeout(2000)
    tab.set_viewport_size({**SIZE, "height": 3000})
    tab.wait_for_timeout(1500)
    box = tab.locator(bottom).last.bounding_box()
    clip = {"x": 0, "y": 0, "width": SIZE["width"], "height": box["y"] + box["height"] + 4}
    tab.screenshot(path=path, clip=clip)
    image = Image.open(path).convert("RGB").quantize(256, kmeans=2, dither=Image.Dither.NONE)
    image.save(path, optimize=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, required=True, help="registry with at least two versions")
    parser.add_argument("--detector", default="auto", help="face detector")
    parser.add_argument("--output", type=Path, default=IMAGES, help="output folder")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    arguments = ["--models", str(options.models), "--detector", options.detector]
    with server(arguments) as (url, _), sync_playwright() as driver:
        program = shutil.which("chromium") or shutil.which("google-chrome")
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        context = browser.new_context(viewport=SIZE, color_scheme="light")
        tab = open_page(context, url, "")
        tab.get_by_text("three faces", exact=True).click()
        tab.wait_for_selector(".fer-bars", timeout=60_000)
        screenshot(tab, options.output / "app_upload.png", ".fer-bars")
        tab = open_page(context, url, "video")
        tab.get_by_text("Try the sample video").click()
        tab.wait_for_selector(".fer-strip", timeout=300_000)
        track = tab.get_by_role("slider", name="Face 1: position in the video")
        track.click(position={"x": 0.55 * track.bounding_box()["width"], "y": 10})
        screenshot(tab, options.output / "app_video.png", ".fer-axis")
        tab = open_page(context, url, "compare")
        tab.wait_for_selector(".fer-scroll", timeout=60_000)
        screenshot(tab, options.output / "app_compare.png", ".fer-scroll")
        browser.close()


if __name__ == "__main__":
    main()
