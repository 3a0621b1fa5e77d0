"""The web page in Chromium: the answers of fer-predict, the camera, without a network, and on a phone."""

import base64
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from accessibility import violations
from browser import CHROMIUM
from fake_camera import write_mjpeg
from PIL import Image
from tiny_bundle import write_bundle
from web_page import RUNTIME_ENV_VAR, answer_for, clear_answer, needs_runtime, serving_files, wait_for_answer

from fer.bundle.card import CROP_RULES, REFERENCE_LANDMARKS
from fer.bundle.registry import find_bundle
from fer.data.synthetic.samples import SAMPLES, render_sample
from fer.faces.base import Face
from fer.faces.crop import crop_faces
from fer.predict.predictor import Predictor
from fer.web.runtime import PACKAGE, read_runtime
from fer.web.site import describe, write_page

pytestmark = [needs_runtime, pytest.mark.slow]
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
# An int8 model rounds: the last digit of a sum, which differs between processors, can move an activation by a
# whole step. In Python too, other optimisations change these answers by up to 0.006.
INT8_TOLERANCE = 0.01
CROP = """async ([pixels, width, height, faces, rule, reference, side]) => {
    const { cropFace } = await import("./vision.js");
    const data = Uint8ClampedArray.from(atob(pixels), (letter) => letter.charCodeAt(0));
    const image = { width, height, data };
    return faces.map((face) => Array.from(cropFace(image, face, rule, reference, side).data));
}"""


@pytest.fixture(scope="module")
def runtime():
    return Path(os.environ[RUNTIME_ENV_VAR])


@pytest.fixture(scope="module")
def site(runtime, tmp_path_factory):
    """The page of the model of the package, below a path of a web server's folder."""
    root = tmp_path_factory.mktemp("root")
    write_page(find_bundle(), root / "any" / "path", runtime)
    return root


@pytest.fixture(scope="module")
def url(site):
    with serving_files(site) as (address, _):
        yield f"{address}/any/path/"


@pytest.fixture
def open_page(chromium):
    """Open a page, wait for its first answer, and fail on errors of its scripts."""
    contexts, errors = [], []

    def open_(address, browser=chromium, **options):
        contexts.append(browser.new_context(**{"viewport": WIDE, "accept_downloads": True} | options))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        wait_for_answer(page)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert errors == []


def picture_of_five(path):
    """Write a large picture with five faces in two rows, and return its path."""
    image = np.full((1100, 1700, 3), 226, np.uint8)
    places = [(40, 80), (60, 620), (30, 1160), (560, 300), (600, 950)]
    for index, (sample, (top, left)) in enumerate(zip(SAMPLES, places, strict=False)):
        side = 470 - 40 * index
        face = cv2.resize(render_sample(sample), (side, side), interpolation=cv2.INTER_AREA)
        image[top : top + side, left : left + side] = face
    Image.fromarray(image).save(path)
    return path


def check_same(answer, predictions, tolerance):
    expected = [prediction.to_dict() for prediction in predictions]
    assert len(answer["faces"]) == len(expected)
    for face, other in zip(answer["faces"], expected, strict=True):
        assert face["box"] == pytest.approx(other["box"], abs=0.02)
        assert np.allclose(face["points"], other["points"], atol=0.02)
        assert face["rotation"] == other["rotation"]
        assert face["score"] == pytest.approx(other["score"], abs=1e-3)
        assert (face["label"], face["uncertain"]) == (other["label"], other["uncertain"])
        assert face["probabilities"] == pytest.approx(other["probabilities"], abs=tolerance)


def test_five_faces_and_a_turned_one_get_the_answers_of_fer_predict(open_page, url, tmp_path):
    page = open_page(url)
    predictor = Predictor(detector="yunet")
    path = picture_of_five(tmp_path / "five.png")
    predictions = predictor(path)
    assert len(predictions) == 5
    check_same(answer_for(page, path), predictions, INT8_TOLERANCE)
    Image.fromarray(np.rot90(render_sample(SAMPLES[0]))).save(tmp_path / "turned.png")
    predictions = predictor(tmp_path / "turned.png")
    assert predictions[0].face.rotation == 90
    check_same(answer_for(page, tmp_path / "turned.png"), predictions, INT8_TOLERANCE)


def test_a_model_of_floats_gives_the_same_probabilities(open_page, runtime, tmp_path):
    bundle = write_bundle(tmp_path / "bundle")
    write_page(bundle, tmp_path / "page", runtime)
    path = picture_of_five(tmp_path / "five.png")
    with serving_files(tmp_path / "page") as (address, _):
        answer = answer_for(open_page(address), path)
    check_same(answer, Predictor(bundle, detector="yunet")(path), 1e-5)
    assert answer["model"] == "tiny"


def test_crops_are_those_of_python_pixel_for_pixel(chromium, url):
    generator = np.random.default_rng(0)
    image = cv2.GaussianBlur(generator.integers(0, 256, (301, 403, 3), np.uint8), (0, 0), 1.5)
    faces = []
    for rotation in (0, 0, 0, 90, 180, 270):
        side = generator.uniform(20, 350)
        box = (*generator.uniform(-40, 300, 2), side, side * generator.uniform(0.8, 1.3))
        points = np.array(REFERENCE_LANDMARKS) + generator.normal(0, 0.03, (5, 2))
        faces.append(Face(box, 1.0, (np.array(box[:2]) + points * side).astype(np.float32), rotation))
    as_json = [
        {"box": list(map(float, face.box)), "points": face.points.tolist(), "rotation": face.rotation}
        for face in faces
    ]
    rgba = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    pixels = base64.b64encode(rgba.tobytes()).decode()
    page = chromium.new_page()
    # Without the models.
    page.goto(f"{url}config.json")
    for rule in (CROP_RULES[name] for name in ("fer2013", "aligned", "whole")):
        crops = page.evaluate(CROP, [pixels, 403, 301, as_json, vars(rule), REFERENCE_LANDMARKS, 48])
        actual = np.array(crops, np.uint8).reshape(len(faces), 48, 48, 4)[..., :3]
        expected = crop_faces(image, faces, rule, 48)
        assert np.abs(actual.astype(int) - expected).max() <= 1
        assert (actual != expected).mean() < 1e-3
    page.context.close()


def test_the_page_works_without_a_network_once_loaded(open_page, site):
    with serving_files(site) as (address, stop):
        page = open_page(f"{address}/any/path/")
        page.locator("#offline").wait_for(timeout=60_000)
        loaded = page.evaluate("performance.getEntriesByType('resource').map((entry) => entry.name)")
        assert not [name for name in loaded if not name.startswith((address, "blob:"))]
        stop()
        page.reload()
        wait_for_answer(page)
        clear_answer(page)
        page.get_by_role("button", name="three faces").click()
        wait_for_answer(page)
        assert page.locator(".face").count() == 3
        assert page.inner_text("#status").startswith("3 faces: happy")


def test_the_camera_shows_two_faces_and_stops(open_page, chromium, url, tmp_path):
    video = write_mjpeg(tmp_path / "faces.mjpeg", "happy", "surprise")
    fake = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    options = ["--no-sandbox", *fake, f"--use-file-for-fake-video-capture={video}"]
    browser = chromium.browser_type.launch(executable_path=CHROMIUM, args=options)
    page = open_page(url, browser, permissions=["camera"])
    page.get_by_role("button", name="Use the camera").click()
    page.locator(".face").nth(1).wait_for(timeout=60_000)
    labels = [text.split("?")[0].split()[0] for text in page.locator(".face h3").all_inner_texts()]
    assert sorted(labels) == ["happy", "surprise"]
    assert "frames/s" in page.inner_text("#speed")
    page.get_by_role("button", name="Stop the camera").click()
    assert page.inner_text("#status") == "The camera is off."
    browser.close()


@pytest.mark.parametrize(("size", "scheme"), [(WIDE, "light"), (PHONE, "dark")], ids=["wide", "phone"])
def test_the_page_fits_the_screen_and_has_no_axe_violations(open_page, url, size, scheme, tmp_path):
    page = open_page(url, viewport=size, color_scheme=scheme, is_mobile=size is PHONE)
    page.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert violations(page) == []
    if size is WIDE:
        check_pictures_without_a_face(page, tmp_path)


def check_pictures_without_a_face(page, tmp_path):
    Image.fromarray(np.full((64, 64, 3), 128, np.uint8)).save(tmp_path / "gray.png")
    clear_answer(page)
    page.set_input_files("#file", tmp_path / "gray.png")
    wait_for_answer(page)
    assert page.inner_text("#status") == "No face found."
    page.get_by_role("button", name="Take the whole picture as one face").click()
    page.locator(".face").wait_for()
    (tmp_path / "notes.png").write_text("text")
    page.set_input_files("#file", tmp_path / "notes.png")
    page.locator("#status.error").wait_for()
    assert page.inner_text("#status").startswith("notes.png: expected a picture")


def test_a_page_loads_the_runtime_from_the_cdn_and_checks_it(chromium, runtime, tmp_path, monkeypatch):
    folder = tmp_path / "cdn" / "npm" / PACKAGE / "dist"
    folder.mkdir(parents=True)
    for name, content in read_runtime(runtime).items():
        (folder / name).write_bytes(content)
    with serving_files(tmp_path / "cdn") as (cdn, _), serving_files(tmp_path / "page") as (address, _):
        for module in ("runtime", "site"):
            monkeypatch.setattr(f"fer.web.{module}.CDN", cdn)
        write_page(write_bundle(tmp_path / "bundle"), tmp_path / "page")
        page = chromium.new_page()
        page.goto(address)
        wait_for_answer(page)
        page.context.close()
        # A file that is not the pinned one is not run.
        with (folder / "ort.wasm.bundle.min.mjs").open("a") as file:
            file.write(" ")
        page = chromium.new_page()
        page.goto(address)
        page.locator("#status.error").wait_for(timeout=60_000)
        assert "it is not the expected file" in page.inner_text("#status")
        page.context.close()


def test_the_page_of_the_package_has_at_most_12_mb(site):
    folder = site / "any" / "path"
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 12_000_000
    assert "MB with the runtime" in describe(folder)
