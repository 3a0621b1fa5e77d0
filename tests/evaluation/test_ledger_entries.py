"""What fer-evaluate records in the ledger of test scores, and reports from it."""

import cv2
import numpy as np
import pytest
from report_files import ledger, numbers
from untrained_run import MODEL, write_run

from fer.data.readers.fer2013 import read_fer2013

pytestmark = pytest.mark.usefixtures("few_sections")


def test_test_scores_are_recorded_and_counted(fer_evaluate, outputs, data):
    run = write_run(outputs, data)
    other = write_run(outputs, data, seed=1)
    assert fer_evaluate(run, "--split", "test")[0] == 0
    assert fer_evaluate(other, "--split", "test")[0] == 0
    _, output, _ = fer_evaluate(run, "--split", "test", "--tta", "flip")
    first, second, third = ledger(outputs)
    assert first["recipe_sha256"] == second["recipe_sha256"] == third["recipe_sha256"]
    assert first["model_sha256"] == third["model_sha256"] != second["model_sha256"]
    assert (first["tta"], third["tta"]) == (None, "flip")
    metrics = numbers(run / "report" / "test_flip")
    assert third["result"]["accuracy"] == metrics["scores"]["accuracy"]
    assert metrics["protocol"]["earlier_scores"] == {
        "same_model": 1,
        "same_recipe": 2,
        "recipes": 1,
        "damaged": 0,
    }
    assert "scored 3 times" in output
    assert "2 scores on these test images before" in output
    assert metrics["tta"]["plain"]["accuracy"] == numbers(run / "report" / "test")["scores"]["accuracy"]
    assert metrics["calibration"]["cross_fitted"] is False


def test_test_images_in_split_all_are_recorded(fer_evaluate, outputs, data):
    run = write_run(outputs, data)
    assert fer_evaluate(run, "--split", "all")[0] == 0
    _, output, _ = fer_evaluate(run, "--split", "test")
    assert "1 score on these test images before" in output
    first, second = ledger(outputs)
    assert first["test_images"] == second["test_images"] == second["manifest"]["pixels_sha256"]


def test_test_images_are_recognized_in_a_folder_data_set(fer_evaluate, outputs, data, tmp_path):
    """PNG files by class, in the split train and at another size: different pixels, in another order."""
    model = {**MODEL, "image_size": 64}
    run, faces = write_run(outputs, data, model=model), read_fer2013(data["path"])
    for row in np.flatnonzero(faces.split == 2):
        folder = tmp_path / "faces" / "train" / faces.labels.names[faces.targets[row]]
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{row}.png"), faces.images[row])
    assert fer_evaluate(run, "--split", "test")[0] == 0
    code, output, errors = fer_evaluate(run, "--split", "all", "--data", f"folder:{tmp_path / 'faces'}")
    assert code == 0, errors
    assert "1 score on these test images before" in output
    assert len(ledger(outputs)) == 2


def test_earlier_scores_of_all_seeds_are_counted(fer_evaluate, outputs, data):
    seeds = [write_run(outputs, data, seed) for seed in (0, 1, 2)]
    assert "test, each seed scored once" in fer_evaluate(*seeds, "--split", "test")[1]
    output = fer_evaluate(*seeds, "--split", "test")[1]
    assert "test, scored 6 times" in output
    assert "3 of these exact weights, 0 of other seeds" in output
