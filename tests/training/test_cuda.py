"""A run on a GPU: no step synchronises with it, and results agree with the CPU.

FER_TEST_GPU=1 uv run pytest tests/training/test_cuda.py
"""

import hydra
import pytest
import torch
from pytorch_lightning.callbacks import Callback
from torch.nn import functional as F  # noqa: N812

from fer.core.paths import CONFIG_DIR
from fer.data.datamodule import read_data
from fer.models.checkpoint import load_checkpoint
from fer.models.factory import build_model
from fer.models.inference import infer
from fer.training.muon import orthogonalise, orthogonalise_all
from fer.training.overrides import to_run_config
from fer.training.run import run

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU and FER_TEST_GPU=1")

DATA = ("datamodule.num_train=512", "datamodule.num_val=128", "datamodule.num_test=8")
SMALL = ("model=fast_cnn", "model.kwargs.widths=[16,32]", "model.kwargs.depths=[0,0]")
OPTIONS = ("ema=true", "scheduler=onecycle", "augmentation=strong", "loss.label_smoothing=0.1")


def compose(*overrides):
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        config = hydra.compose("train", ["name=cuda", "datamodule.batch_size=32", *DATA, *overrides])
    return to_run_config(config)


def train(folder, *overrides, callbacks=()):
    folder.mkdir(exist_ok=True)
    return run(compose(*SMALL, *overrides), folder, callbacks=callbacks, quiet=True)


class ForbidSync(Callback):
    """Make torch raise where a step, except the first ones, synchronises with the device."""

    steps = 0

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        # metrics are read after the last batch
        if batch_idx == trainer.num_training_batches - 1:
            torch.cuda.set_sync_debug_mode("default")

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.steps += 1
        if 2 < batch_idx < trainer.num_training_batches - 2:
            torch.cuda.set_sync_debug_mode("error")


@pytest.mark.parametrize("overrides", [
    ("optimizer=adamw",), ("optimizer=muon",), ("optimizer=sgd", "mix=cutmix"), ("optimizer=sam",),
    ("mix=mixup", "loss=focal"), ("attention=cbam", "imbalance=oversample"),
    ("optimizer=muon", "mix=mixup", "compile=true"),
])  # fmt: skip
def test_no_step_synchronises_with_the_device(tmp_path, overrides):
    callback = ForbidSync()
    try:
        train(tmp_path, "trainer.max_epochs=2", *OPTIONS, *overrides, callbacks=(callback,))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert callback.steps == 2 * 16


def test_cuda_graphs_train_as_uncompiled_steps(tmp_path):
    """In float32 with TF32, which differs in the third digit."""
    options = ("trainer.max_epochs=2", "trainer.precision=32-true", "optimizer=muon", "optimizer.lr=1e-3")
    plain, compiled = (
        train(tmp_path / mode, *options, "model.dropout=0", f"compile={mode}")["val/loss"]
        for mode in ("false", "reduce-overhead")
    )
    assert abs(plain - compiled) < 0.01


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cuda")
    best = train(folder, "trainer.max_epochs=8", "optimizer.lr=3e-3", "ema=true", "ema_decay=0.9")
    return folder, best


def test_accuracy_is_above_chance(trained):
    _, best = trained
    # chance level: 1 in 7
    assert best["val/accuracy"] > 0.3


def test_gpu_and_cpu_logits_agree(trained):
    """In float32; TF32 would differ in the third digit."""
    folder, _ = trained
    model = load_checkpoint(folder / "checkpoints" / "best.ckpt").model
    data = read_data(compose().data).dataset
    on_gpu = torch.from_numpy(infer(model, data, 48, 64).logits)
    images = torch.from_numpy(data.images).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        on_cpu = model.cpu().eval()(images)
    torch.testing.assert_close(on_gpu, on_cpu, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(3, 32, 288), (2, 96, 24)])
def test_muon_agrees_with_the_cpu(shape):
    """timm's iteration in bfloat16 on a GPU, ours in float32 on a CPU: the same polynomials."""
    stack = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(orthogonalise(stack.cuda()).cpu(), orthogonalise(stack), rtol=0, atol=0.02)


def test_one_padded_batch_of_muon_agrees_with_the_cpu():
    generator = torch.Generator().manual_seed(0)
    matrices = [torch.randn(shape, generator=generator) for shape in ((16, 144), (40, 9), (7, 32))]
    on_gpu = orthogonalise_all([matrix.cuda() for matrix in matrices])
    for one, other in zip(on_gpu, orthogonalise_all(matrices), strict=True):
        torch.testing.assert_close(one.cpu(), other, rtol=0, atol=0.02)


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv2", "efficientnet_b0", "vit_tiny", "fast_cnn_deep"])
def test_gradients_agree_with_the_cpu(name):
    torch.manual_seed(0)
    config = compose(f"model={name}", "model.dropout=0", "model.pretrained=false")
    model = build_model(config.model, 7, 1, attention=config.attention)
    side = config.model.image_size
    images, target = torch.rand(16, 1, side, side), torch.arange(16) % 7
    gradients = []
    for device in ("cpu", "cuda"):
        model.to(device).zero_grad()
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            F.cross_entropy(model(images.to(device)), target.to(device)).backward()
        gradients.append(torch.cat([weight.grad.flatten().cpu() for weight in model.parameters()]))
    on_cpu, on_gpu = gradients
    assert (on_cpu - on_gpu).norm() < 1e-2 * on_cpu.norm()
