"""What fer-evaluate enters in the ledger of test scores, and says of it."""

import cv2
import numpy as np
import pytest
from written_report import ledger, numbers
from written_run import MODEL, write_run

from fer.data.fer2013 import read_fer2013

pytestmark = pytest.mark.usefixtures("few_chapters")


def test_test_scores_are_entered_and_counted(fer_evaluate, outputs, data):
    run = write_run(outputs, data)
    other = write_run(outputs, data, seed=1)
    assert fer_evaluate(run, "--split", "test")[0] == 0
    assert fer_evaluate(other, "--split", "test")[0] == 0
    _, said, _ = fer_evaluate(run, "--split", "test", "--tta", "flip")
    first, second, third = ledger(outputs)
    assert first["recipe_sha256"] == second["recipe_sha256"] == third["recipe_sha256"]
    assert first["model_sha256"] == third["model_sha256"] != second["model_sha256"]
    assert (first["tta"], third["tta"]) == (None, "flip")
    found = numbers(run / "report" / "test_flip")
    assert third["result"]["accuracy"] == found["scores"]["accuracy"]
    assert found["protocol"]["earlier_scores"] == {
        "same_model": 1,
        "same_recipe": 2,
        "recipes": 1,
        "damaged": 0,
    }
    assert "scored 3 times" in said
    assert "2 scores on these test images before" in said
    assert found["tta"]["plain"]["accuracy"] == numbers(run / "report" / "test")["scores"]["accuracy"]
    assert found["calibration"]["cross_fitted"] is False


def test_test_images_among_all_count_as_scored(fer_evaluate, outputs, data):
    run = write_run(outputs, data)
    assert fer_evaluate(run, "--split", "all")[0] == 0
    _, said, _ = fer_evaluate(run, "--split", "test")
    assert "1 score on these test images before" in said
    first, second = ledger(outputs)
    assert first["test_images"] == second["test_images"] == second["manifest"]["pixels_sha256"]


def test_test_images_as_files_in_folders_are_the_same(fer_evaluate, outputs, data, tmp_path):
    """As PNG files by class, called train and read in another size: other pixels, in another order."""
    model = {**MODEL, "image_size": 64}
    run, faces = write_run(outputs, data, model=model), read_fer2013(data["path"])
    for row in np.flatnonzero(faces.split == 2):
        folder = tmp_path / "faces" / "train" / faces.labels.names[faces.targets[row]]
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{row}.png"), faces.images[row])
    assert fer_evaluate(run, "--split", "test")[0] == 0
    code, said, errors = fer_evaluate(run, "--split", "all", "--data", f"folder:{tmp_path / 'faces'}")
    assert code == 0, errors
    assert "1 score on these test images before" in said
    assert len(ledger(outputs)) == 2


def test_seeds_that_were_scored_before_say_so_each(fer_evaluate, outputs, data):
    seeds = [write_run(outputs, data, seed) for seed in (0, 1, 2)]
    assert "test, each seed scored once" in fer_evaluate(*seeds, "--split", "test")[1]
    said = fer_evaluate(*seeds, "--split", "test")[1]
    assert "test, scored 6 times" in said
    assert "3 of these very weights, 0 of other seeds" in said
