"""Command-line overrides for small runs, and a small FER+ file of votes."""

from pathlib import Path

TINY = (
    "datamodule.batch_size=16",
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=2",
    "trainer.limit_val_batches=1",
    "datamodule.eval_batch_size=32",
)
TINY_FACES = ("datamodule.num_train=64", "datamodule.num_val=32", "datamodule.num_test=8")


def write_votes(path: Path, rows: dict[str, int]) -> None:
    """Write a fer2013new.csv in which 8 of 10 annotators agree on every image, on each emotion in turn."""
    emotions = "neutral,happiness,surprise,sadness,anger,disgust,fear,contempt"
    lines = [f"Usage,Image name,{emotions},unknown,NF"]
    for usage, number in rows.items():
        for row in range(number):
            votes = ",".join("8" if emotion == row % 8 else "0" for emotion in range(8))
            lines.append(f"{usage},fer{row:07d}.png,{votes},2,0")
    path.write_text("\n".join(lines) + "\n")
