"""A compiled recipe trains as the uncompiled one, and batches of another size run uncompiled."""

import csv
import shutil

import pytest
import torch

from fer.core.errors import FerError
from fer.models.checkpoint import load_checkpoint
from fer.training.compiled import CompiledForBatch, choose_mode

# 20 steps of the layers of fer2013_fast. Rounding errors grow within 20 steps at rates such as 1e-2: also
# without a compiler, if an image changes by 1e-7, and not in float64.
RECIPE = (
    "model=fast_cnn_fine", "model.kwargs.widths=[8,16]", "model.kwargs.depths=[0,1]", "model.dropout=0",
    "optimizer=muon", "optimizer.lr=1e-3", "scheduler=onecycle", "augmentation=light", "mix=mixup",
    "mix.probability=1", "ema=true", "ema_decay=0.9", "trainer.precision=32-true", "trainer.max_epochs=5",
    "trainer.limit_train_batches=4",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_twenty_compiled_steps_equal_uncompiled_ones(tiny_run):
    # Other tests of this process compile too.
    torch._dynamo.reset()
    counters = torch._dynamo.utils.counters
    counters.clear()
    runs = tiny_run(*RECIPE), tiny_run(*RECIPE, "compile=true")
    # One graph of the augmentation and one of the network with its loss, in all epochs.
    assert counters["stats"]["unique_graphs"] == 2
    assert not counters["graph_break"]
    models = [load_checkpoint(run.folder / "checkpoints" / "last.ckpt").model.eval() for run in runs]
    assert models[0].state_dict().keys() == models[1].state_dict().keys()
    faces = torch.rand(16, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, logits = (model(faces) for model in models)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(losses(runs[1]), losses(runs[0]), rtol=0, atol=1e-4)


def losses(run):
    """Return the losses of all epochs, ``(epochs, 2)``."""
    with (run.folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5
    return torch.tensor([[float(row[f"{stage}/loss"]) for stage in ("train", "val")] for row in rows])


def test_only_batches_of_the_usual_size_run_compiled(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, **_: lambda images: ("compiled", len(images)))
    call = CompiledForBatch(lambda images: ("plain", len(images)), 4, "default")
    assert [call(torch.zeros(size, 2))[0] for size in (4, 3, 4, 5)] == [
        "compiled",
        "plain",
        "compiled",
        "plain",
    ]


@pytest.mark.parametrize(("option", "accumulated", "has_cuda", "mode"), [
    (True, 1, True, "reduce-overhead"), (True, 2, True, "default"), (True, 1, False, "default"),
    ("default", 1, True, "default"), ("max-autotune", 1, True, "max-autotune"),
])  # fmt: skip
def test_the_mode_has_cuda_graphs_only_on_a_gpu_and_without_accumulation(option, accumulated, has_cuda, mode):
    assert choose_mode(option, accumulated, has_cuda) == mode


def test_accumulated_gradients_and_cuda_graphs_exclude_each_other(tiny_run, capsys):
    with pytest.raises(FerError, match="expected 1 with compile=reduce-overhead, got 2"):
        choose_mode("reduce-overhead", 2, True)
    assert tiny_run("compile=fast").status == 2
    assert "compile" in capsys.readouterr().err
