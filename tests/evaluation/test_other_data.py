"""Data sets that are only scored: a part, one emotion, or numbers instead of emotions."""

import pytest
from fer2013_text import make_rows, to_text, write
from image_layouts import faces, save, write_folder
from untrained_run import write_run

from fer.core.errors import FerError
from fer.core.labels import FER7
from fer.evaluation.evaluate import evaluate
from fer.evaluation.split import data_config
from fer.training.config import RunConfig

pytestmark = pytest.mark.usefixtures("few_sections")


@pytest.fixture
def run(outputs, data):
    return write_run(outputs, data)


def about(report):
    return report.predictions.about


def classified(report):
    """Return emotion and predicted emotion of all images, in an order that does not depend on the files."""
    predictions = report.predictions
    return sorted(zip(predictions.target.tolist(), predictions.probs.argmax(1).tolist(), strict=True))


def test_a_folder_of_test_images(run, tmp_path):
    (write_folder(tmp_path / "all") / "test").rename(tmp_path / "set")
    (tmp_path / "only" / "test").parent.mkdir()
    (tmp_path / "set").rename(tmp_path / "only" / "test")
    report = evaluate(run, data=f"folder:{tmp_path / 'only'}")
    assert (about(report).role, len(report.predictions.target)) == ("test", 14)
    assert report.page.parent.name.endswith("_test")


def test_a_csv_file_of_test_rows(run, tmp_path):
    rows = [row | {"Usage": "PrivateTest"} for row in make_rows(14)]
    report = evaluate(run, data=f"fer2013:{write(tmp_path, to_text(rows), 'only.csv')}")
    assert (about(report).role, len(report.predictions.target)) == ("test", 14)


@pytest.mark.parametrize("number", [1, 5])
def test_images_of_one_emotion(run, tmp_path, number):
    for row in range(number):
        save(tmp_path / "one" / "Happiness" / f"{row}.png", faces()[0].images[row])
    report = evaluate(run, data=f"folder:{tmp_path / 'one'}")
    assert (about(report).role, len(report.predictions.target)) == ("all", number)
    assert set(report.predictions.target.tolist()) == {FER7.index("happy")}


def test_numbered_folders(run, tmp_path, fer_evaluate):
    root = write_folder(tmp_path / "numbered", rename=lambda name: str(FER7.index(name) + 1))
    source = f"folder:{root}"
    status, _, error = fer_evaluate(run, "--data", source)
    assert status == 2
    assert error.rstrip().endswith("--labels angry,disgust,…")
    status, _, _ = fer_evaluate(run, "--data", source, "--labels", ",".join(FER7.names), "--split", "all")
    assert status == 0
    named = evaluate(run, "all", data=f"folder:{write_folder(tmp_path / 'named')}")
    numbered = evaluate(run, "all", data=source, labels=FER7.names)
    assert classified(numbered) == classified(named)


def test_labels_need_data_without_names(run, tmp_path):
    with pytest.raises(FerError, match="--labels: expected --data with it"):
        evaluate(run, labels=FER7.names)
    with pytest.raises(FerError, match="--labels: expected --data folder:PATH or fer2013:PATH"):
        evaluate(run, data=f"rafdb:{tmp_path}", labels=FER7.names)


def test_runs_from_before_there_were_groups_keep_their_split(tmp_path):
    data = {"name": "folder", "path": str(tmp_path)}
    values = {"datamodule": data, "model": {"name": "fast_cnn", "image_size": 48}}
    before = RunConfig.from_dict(values)
    now = RunConfig.from_dict({**values, "datamodule": {**data, "group": "auto"}})
    assert (data_config(before).group, data_config(now).group) == ("none", "auto")
    other = f"folder:{tmp_path / 'other'}"
    assert (data_config(before, other=other).group, data_config(now, other=other).group) == ("none", "auto")
