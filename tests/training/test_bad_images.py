"""Invalid image datasets given to fer-train: status 2, a one-line error message, and no run folder."""

import pytest
from image_layouts import write_affectnet_lists, write_folder, write_rafdb

OVERRIDES = ("datamodule.batch_size=4", "trainer.max_epochs=1", "model.image_size=32", "augmentation=none")


def add_bad_file(root, content=b"not an image"):
    (write_folder(root) / "train" / "sad" / "bad.png").write_bytes(content)


def no_images(root):
    (root / "train" / "sad").mkdir(parents=True)


def unknown_class(root):
    write_folder(root, rename=lambda name: "sorrow" if name == "sad" else name)


def numbered_folders(root):
    write_folder(root, rename=lambda name: str(len(name)))


def missing_image(root):
    (write_rafdb(root) / "aligned" / "train_00002_aligned.jpg").unlink()


def bad_list(root):
    (write_affectnet_lists(root) / "training.csv").write_text("a,b\n1,2\n")


CASES = {
    "no images": (no_images, "folder", "expected images in its folders"),
    "unknown class": (unknown_class, "folder", "folder sorrow"),
    "numbered folders": (numbered_folders, "folder", "datamodule.labels="),
    "corrupt": (add_bad_file, "folder", "train/sad/bad.png (damaged, or not an image)"),
    "zero bytes": (lambda root: add_bad_file(root, b""), "folder", "train/sad/bad.png (empty)"),
    "missing image": (missing_image, "rafdb", "aligned/train_00002_aligned.jpg (no such file)"),
    "bad list": (bad_list, "affectnet", "training.csv, line 1"),
    "nothing": (lambda root: None, "rafdb", "list_patition_label.txt"),
}


@pytest.mark.parametrize("memory_gb", ["2.0", "0"])
@pytest.mark.parametrize("case", CASES)
def test_invalid_dataset(case, memory_gb, fer_train, tmp_path, capsys):
    write, name, message = CASES[case]
    write(tmp_path / "set")
    run = fer_train(
        f"datamodule={name}",
        f"datamodule.path={tmp_path}/set",
        f"datamodule.memory_gb={memory_gb}",
        *OVERRIDES,
    )
    error = capsys.readouterr().err
    assert run.status == 2
    # With images on disk a corrupt file is detected only on decoding, when the run folder exists.
    assert run.folder is None or (case, memory_gb) == ("corrupt", "0")
    assert message in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize("memory_gb", ["2.0", "0"])
def test_training_skips_a_corrupt_file(memory_gb, fer_train, tmp_path):
    add_bad_file(tmp_path / "set")
    path, memory = f"datamodule.path={tmp_path}/set", f"datamodule.memory_gb={memory_gb}"
    with pytest.warns(UserWarning, match="1 of 43 files"):
        run = fer_train("datamodule=folder", path, memory, "datamodule.skip_corrupt=true", *OVERRIDES)
    assert run.record["status"] == "finished"


@pytest.mark.filterwarnings("ignore:.*Continuing without them")
@pytest.mark.parametrize("optimizer", ["adamw", "sam"])
def test_training_skips_batches_of_corrupt_files(optimizer, fer_train, tmp_path):
    path = write_folder(tmp_path / "set")
    for file in sorted(path.rglob("*.png"))[::2]:
        file.write_bytes(file.read_bytes()[:60])
    overrides = ("datamodule.skip_corrupt=true", "datamodule.drop_leaks=true", "datamodule.batch_size=2")
    overrides += ("datamodule.eval_batch_size=1", "datamodule.memory_gb=0", f"optimizer={optimizer}")
    run = fer_train("datamodule=folder", f"datamodule.path={path}", *OVERRIDES[1:], *overrides)
    assert run.record["status"] == "finished"


def test_a_truncated_image_on_disk_stops_training(fer_train, tmp_path, capsys):
    """With an intact start, the damage shows only when a worker decodes the file."""
    path = write_folder(tmp_path / "set")
    for file in (path / "train").rglob("*.png"):
        file.write_bytes(file.read_bytes()[:-40])
    run = fer_train("datamodule=folder", f"datamodule.path={path}", "datamodule.memory_gb=0", *OVERRIDES)
    error = capsys.readouterr().err
    assert run.status == 2
    assert "cannot be read as images" in error
    assert "Traceback" not in error
