"""Bad folders through fer-train itself: status 2, one line that says what is wrong, and no run folder."""

import pytest
from picture_layouts import write_affectnet_lists, write_folder, write_rafdb

WORDS = ("datamodule.batch_size=4", "trainer.max_epochs=1", "model.image_size=32", "augmentation=none")


def spoil(root, content=b"no picture"):
    (write_folder(root) / "train" / "sad" / "bad.png").write_bytes(content)


def no_pictures(root):
    (root / "train" / "sad").mkdir(parents=True)


def unknown_class(root):
    write_folder(root, rename=lambda name: "sorrow" if name == "sad" else name)


def numbers(root):
    write_folder(root, rename=lambda name: str(len(name)))


def absent(root):
    (write_rafdb(root) / "aligned" / "train_00002_aligned.jpg").unlink()


def bad_list(root):
    (write_affectnet_lists(root) / "training.csv").write_text("a,b\n1,2\n")


CASES = {
    "no pictures": (no_pictures, "folder", "expected pictures in its folders"),
    "unknown class": (unknown_class, "folder", "folder sorrow"),
    "numbers": (numbers, "folder", "datamodule.labels="),
    "corrupt": (spoil, "folder", "train/sad/bad.png (damaged, or no picture)"),
    "zero bytes": (lambda root: spoil(root, b""), "folder", "train/sad/bad.png (empty)"),
    "absent": (absent, "rafdb", "aligned/train_00002_aligned.jpg (no such file)"),
    "bad list": (bad_list, "affectnet", "training.csv, line 1"),
    "nothing": (lambda root: None, "rafdb", "list_patition_label.txt"),
}


@pytest.mark.parametrize("memory_gb", ["2.0", "0"])
@pytest.mark.parametrize("case", CASES)
def test_bad_set(case, memory_gb, fer_train, tmp_path, capsys):
    make, name, words = CASES[case]
    make(tmp_path / "set")
    run = fer_train(
        f"datamodule={name}", f"datamodule.path={tmp_path}/set", f"datamodule.memory_gb={memory_gb}", *WORDS
    )
    error = capsys.readouterr().err
    assert run.status == 2
    assert run.folder is None or (case, memory_gb) == ("corrupt", "0")  # shows when it is decoded
    assert words in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize("memory_gb", ["2.0", "0"])
def test_training_goes_on_without_a_corrupt_file(memory_gb, fer_train, tmp_path):
    spoil(tmp_path / "set")
    path, memory = f"datamodule.path={tmp_path}/set", f"datamodule.memory_gb={memory_gb}"
    with pytest.warns(UserWarning, match="1 of 43 files"):
        run = fer_train("datamodule=folder", path, memory, "datamodule.skip_corrupt=true", *WORDS)
    assert run.record["status"] == "finished"


@pytest.mark.filterwarnings("ignore:.*Going on without them")
@pytest.mark.parametrize("optimizer", ["adamw", "sam"])
def test_training_goes_on_over_batches_of_corrupt_files(optimizer, fer_train, tmp_path):
    path = write_folder(tmp_path / "set")
    for file in sorted(path.rglob("*.png"))[::2]:
        file.write_bytes(file.read_bytes()[:60])
    words = ("datamodule.skip_corrupt=true", "datamodule.drop_leaks=true", "datamodule.batch_size=2")
    words += ("datamodule.eval_batch_size=1", "datamodule.memory_gb=0", f"optimizer={optimizer}")
    run = fer_train("datamodule=folder", f"datamodule.path={path}", *WORDS[1:], *words)
    assert run.record["status"] == "finished"


def test_picture_that_breaks_off_stops_training_on_disk(fer_train, tmp_path, capsys):
    """Behind a good beginning the damage shows only when a worker decodes it."""
    path = write_folder(tmp_path / "set")
    for file in (path / "train").rglob("*.png"):
        file.write_bytes(file.read_bytes()[:-40])
    run = fer_train("datamodule=folder", f"datamodule.path={path}", "datamodule.memory_gb=0", *WORDS)
    error = capsys.readouterr().err
    assert run.status == 2
    assert "cannot be read as pictures" in error
    assert "Traceback" not in error
