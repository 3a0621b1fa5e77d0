"""Invalid input to fer-train: status 2, a one-line error message, no traceback, no run folder."""

import pytest

PIXELS = " ".join(["7"] * 2304)
HEADER = "emotion,pixels,Usage\n"


def rows(*lines):
    return (HEADER + "".join(f"{line}\n" for line in lines)).encode()


GOOD = [f"{label},{PIXELS},{usage}" for usage in ("Training", "PublicTest") for label in range(7)]
FILES = {
    "empty": (b"", "empty"),
    "header only": (HEADER.encode(), "expected rows of images, got none"),
    "binary": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "binary"),
    "utf-16": ((HEADER + GOOD[0]).encode("utf-16"), "UTF-16"),
    "truncated": (rows(*GOOD) + f"3,{PIXELS[:900]}".encode(), "line 16"),
    "2303 pixels": (rows(*GOOD, f"3,{PIXELS[2:]},Training"), "expected 2304 pixel values, got 2303"),
    "not a number": (rows(*GOOD, f"3,x{PIXELS[1:]},Training"), "line 16"),
    "negative": (rows(*GOOD, f"3,-{PIXELS},Training"), "line 16"),
    "above 255": (rows(*GOOD, f"3,{PIXELS[:-1]}256,Training"), "256"),
    "unknown label": (rows(*GOOD, f"7,{PIXELS},Training"), "line 16"),
    "unknown usage": (rows(*GOOD, f"3,{PIXELS},Trainning"), "Training"),
    "missing column": (b"emotion,pixels\n3," + PIXELS.encode() + b"\n", "Usage"),
    "no training rows": (rows(*GOOD[7:]), "expected a training split"),
    "one class only": (rows(*[GOOD[3]] * 20, GOOD[10]), "happy"),
    "no validation": (rows(*GOOD[:7]), "Training"),
}


def assert_rejected(run, capsys, message):
    error = capsys.readouterr().err
    assert run.status == 2
    assert run.folder is None
    assert message in error
    # The advice may be on a second line.
    assert len(error.strip().splitlines()) <= 2
    assert "Traceback" not in error


@pytest.mark.parametrize("case", FILES)
def test_file(case, fer_train, tmp_path, capsys):
    content, message = FILES[case]
    path = tmp_path / "fer2013.csv"
    path.write_bytes(content)
    assert_rejected(fer_train("datamodule=fer2013", f"datamodule.path={path}"), capsys, message)


def test_missing_file(fer_train, tmp_path, capsys):
    (tmp_path / "fer2013.csv").write_text("")
    run = fer_train("datamodule=fer2013", f"datamodule.path={tmp_path}/fer2012.csv")
    assert_rejected(run, capsys, "fer2013.csv")


OPTIONS = {
    ("model.image_size=48.5",): "model.image_size: expected an integer of at least 16, got 48.5",
    ("model.kwargs=null",): "model.kwargs: expected options by name, got null",
    ("model=timm", "model.name=resnet19"): "resnet18",
    ("datamodule.batch_size=65",): "batch_size=65 is larger than the training split (64 images)",
    ("optimizer=timm", "optimizer.name=adamx"): "Did you mean 'adam",
    (
        "scheduler=onecycle",
        "scheduler.warmup_share=2",
    ): "warmup_share: expected a number in [0, 1], got 2",
    (
        "scheduler=step",
        "scheduler.every_epochs=0",
    ): "every_epochs: expected a number above 0, got 0",
    ("ema=true", "ema_decay=1.5"): "ema_decay: expected a number in (0, 1), got 1.5",
    ("trainer.precision=17",): "trainer:",
    ("+optimizer.momentun=0.9",): "momentun",
    ("model=vit_tiny", "progressive=[[0,40]]"): "40",
    ("model=resnet18", "model.pretrained=/nowhere/weights.pth"): "there is no file /nowhere/weights.pth",
    ("loss.label_smoothing=1.5",): "loss.label_smoothing",
    ("augmentation.flip=2",): "augmentation.flip",
    ("augmentation.erase=null",): "augmentation.erase: expected a number in [0, 1], got null",
    ("optimizer.lr=null",): "optimizer.lr: expected a number of at least 0, got null",
    ("optimizer.lr=[1e-3]",): "optimizer.lr: expected a number of at least 0, got [0.001]",
    ("seed=99999999999",): "seed: expected an integer in [0, 4294967296), got 99999999999",
    (
        "trainer.accumulate_grad_batches=0",
    ): "trainer.accumulate_grad_batches: expected an integer of at least 1",
    (
        "trainer.check_val_every_n_epoch=0",
    ): "trainer.check_val_every_n_epoch: expected an integer of at least 1",
    ("trainer.limit_train_batches=0",): "limit_train_batches: expected a number above 0 or null, got 0",
    ("trainer.max_time=10",): 'trainer.max_time: expected "DD:HH:MM:SS", got 10',
    ("trainer.max_steps=null",): "trainer.max_steps: expected an integer, got null",
    ("trainer.val_check_interval=1000",): "trainer: `val_check_interval`",
    ("optimizer.betas=[0.9]",): "optimizer=adamw: invalid options",
    ("optimizer=timm", "optimizer.name=adahessian"): "got adahessian, which needs second derivatives",
}


@pytest.mark.parametrize("overrides", OPTIONS, ids=" ".join)
def test_option(overrides, tiny_run, capsys):
    run = tiny_run(*overrides)
    assert run.status == 2
    error = capsys.readouterr().err
    assert OPTIONS[overrides] in error
    assert "Traceback" not in error


@pytest.mark.parametrize("overrides", [("datamodule=fer2013", "datamodule.path=2013"), ("resume=2024",)])
def test_a_path_that_looks_like_a_number(overrides, fer_train, capsys):
    assert_rejected(fer_train(*overrides), capsys, overrides[-1].partition("=")[2])


def test_pretrained_offline(tiny_run, capsys, monkeypatch):
    monkeypatch.setattr("fer.models.pretrained.hub_is_reachable", lambda: False)
    run = tiny_run("model=resnet18", "model.pretrained=true")
    assert_rejected(run, capsys, "model.pretrained=")


def test_without_test_rows_it_trains(fer_train, tmp_path):
    path = tmp_path / "fer2013.csv"
    path.write_bytes(rows(*GOOD))
    run = fer_train(
        "datamodule=fer2013", f"datamodule.path={path}", "datamodule.batch_size=7", "trainer.max_epochs=1"
    )
    assert run.record["status"] == "finished"
    assert "test" not in run.record["manifest"]["splits"]


def test_votes_that_do_not_match_the_images(fer_train, fer2013_csv, tmp_path, capsys):
    from tiny import write_votes

    (tmp_path / "fer2013.csv").symlink_to(fer2013_csv)
    write_votes(tmp_path / "fer2013new.csv", {"Training": 69, "PublicTest": 36, "PrivateTest": 35})
    run = fer_train("datamodule=ferplus", f"datamodule.path={tmp_path}")
    assert_rejected(run, capsys, "fer2013new.csv, line 71: expected Usage Training, as for image 70 of")
    run = fer_train("datamodule=fer2013", f"datamodule.path={tmp_path}/fer2013.csv", "datamodule.votes=true")
    assert_rejected(run, capsys, "fer2013new.csv, line 71: expected Usage Training, as for image 70 of")


def test_a_loss_that_needs_votes_names_the_option_that_adds_them(fer_train, fer2013_csv, capsys):
    overrides = ("datamodule=fer2013", f"datamodule.path={fer2013_csv}", "datamodule.batch_size=8")
    assert_rejected(
        fer_train(*overrides, "loss=expected_labels"), capsys, "datamodule=fer2013 with datamodule.votes=true"
    )
