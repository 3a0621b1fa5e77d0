"""Record the short animation of the app on the first page of the docs. It shows synthetic faces only.

uv run python scripts/app_animation.py          # docs/images/app_demo.webp and app_demo_dark.webp
"""

import argparse
import io
import shutil
from pathlib import Path

from load_app import server
from PIL import Image

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
SIZE = {"width": 960, "height": 660}
CURSOR = """([x, y]) => {
  let dot = document.getElementById('cursor');
  if (!dot) {
    dot = document.createElement('div');
    dot.id = 'cursor';
    dot.style = 'position:fixed;width:22px;height:22px;border-radius:50%;z-index:99999;pointer-events:none;' +
      'background:rgba(230,120,30,.75);border:2px solid white;transform:translate(-50%,-50%)';
    document.body.append(dot);
  }
  dot.style.left = x + 'px';
  dot.style.top = y + 'px';
}"""


class Recorder:
    """Frames of one tab, with the time that each is shown.

    Args:
        tab: Playwright's page.
    """

    def __init__(self, tab):
        self.tab, self.frames, self.position = tab, [], (480, 420)

    def show(self, milliseconds):
        """Add the page as it looks now."""
        self.tab.evaluate(CURSOR, self.position)
        image = Image.open(io.BytesIO(self.tab.screenshot())).convert("RGB")
        self.frames.append((image, milliseconds))

    def click(self, element, steps=5):
        """Move the cursor to an element, and click it."""
        box = element.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        left, top = self.position
        for step in range(1, steps + 1):
            self.position = (left + (x - left) * step / steps, top + (y - top) * step / steps)
            self.show(60)
        self.tab.mouse.click(x, y)

    def scroll_to(self, element, top, steps=6):
        """Scroll until an element is at a height of the window, in pixels."""
        distance = element.bounding_box()["y"] - top
        for _ in range(steps):
            self.tab.mouse.wheel(0, distance / steps)
            self.tab.wait_for_timeout(200)
            self.show(60)

    def save(self, path, still):
        """Write an endless animation, and its last frame as a still picture."""
        images, times = zip(*self.frames, strict=True)
        images[-1].save(still, quality=85, method=6)
        images[0].save(
            path, save_all=True, append_images=images[1:], duration=times, loop=0, quality=75, method=6
        )


def record(context, url):
    """Return the recorded visit: faces of an image, then of a video."""
    tab = context.new_page()
    tab.goto(url)
    tab.get_by_text("three faces", exact=True).wait_for(timeout=60_000)
    tab.wait_for_timeout(2500)
    tab.mouse.move(480, 420)
    visit = Recorder(tab)
    visit.show(1200)
    visit.click(tab.get_by_text("three faces", exact=True))
    tab.wait_for_selector(".fer-bars", timeout=60_000)
    tab.wait_for_timeout(2500)
    visit.show(600)
    visit.scroll_to(tab.locator(".fer-bars").first, 300)
    visit.show(2600)
    tab.goto(f"{url}/video")
    button = tab.get_by_text("Try the sample video")
    button.wait_for(timeout=60_000)
    tab.wait_for_timeout(2500)
    visit.show(800)
    visit.click(button)
    tab.wait_for_selector(".fer-strip", timeout=300_000)
    tab.wait_for_timeout(2500)
    visit.scroll_to(tab.locator(".fer-strip").first, 470)
    visit.show(900)
    track = tab.get_by_role("slider", name="Face 1: position in the video")
    tab.wait_for_timeout(1500)
    for share in (0.1, 0.25, 0.4, 0.55, 0.7, 0.85):
        box = track.bounding_box()
        visit.position = (box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        tab.mouse.click(*visit.position)
        tab.wait_for_timeout(900)
        visit.show(650)
    visit.show(1500)
    return visit


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=IMAGES, help="output folder")
    parser.add_argument("--detector", default="auto", help="face detector")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with server(["--detector", options.detector]) as (url, _), sync_playwright() as driver:
        program = shutil.which("chromium") or shutil.which("google-chrome")
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for scheme, suffix in (("light", ""), ("dark", "_dark")):
            context = browser.new_context(viewport=SIZE, color_scheme=scheme)
            files = (options.output / f"app_demo{part}{suffix}.webp" for part in ("", "_still"))
            record(context, url).save(*files)
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
