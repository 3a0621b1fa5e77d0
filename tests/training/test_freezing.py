"""A frozen backbone does not change, is trained later, and is frozen in the same epochs of a resumed run."""

import pytest
import pytorch_lightning as pl
import timm
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch.nn import functional as F  # noqa: N812

from fer.core.errors import FerError
from fer.models.checkpoint import load_checkpoint
from fer.models.factory import build_model
from fer.training.callbacks import FrozenBackbone
from fer.training.module import EmotionModule
from fer.training.optim import build_optimizer
from fer.training.schedules import build_scheduler

# Steps per epoch.
STEPS = 2


def state_of(model, prefix):
    return {key: value.clone() for key, value in model.state_dict().items() if key.startswith(prefix)}


def equal_tensors(first, second):
    return [torch.equal(value, second[key]) for key, value in first.items()]


class TinyModule(pl.LightningModule):
    """A tiny model on noise that records its state after each epoch."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.model = build_model({"name": "test_resnet", "image_size": 16, "stem": "small"}, 7, 1)
        self.states = [state_of(self.model, "")]

    def training_step(self, batch, batch_idx):
        return F.cross_entropy(self.model(batch), torch.arange(len(batch)) % 7)

    def validation_step(self, batch, batch_idx):
        self.model(batch)

    def configure_optimizers(self):
        optimizer = build_optimizer(
            self.model, {"name": "adamw", "lr": 1e-2, "weight_decay": 0.1, "layer_decay": 0.7}
        )
        options = {"warmup_share": 0.3, "anneal": "cos", "div_factor": 10.0, "final_div_factor": 100.0}
        schedule = build_scheduler(optimizer, {"name": "onecycle", **options}, 8 * STEPS, STEPS, "val/loss")
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def on_train_epoch_end(self):
        self.states.append(state_of(self.model, ""))


def fit(folder, freeze_epochs, checkpoint=None, **options):
    torch.manual_seed(1)
    # equal batches, so that only the frozen epochs can differ
    images = torch.rand(8, 1, 16, 16).repeat(STEPS, 1, 1, 1)
    module, loader = TinyModule(), torch.utils.data.DataLoader(images, batch_size=8)
    checkpoints = ModelCheckpoint(folder, "{step}", save_top_k=-1, every_n_train_steps=1)
    trainer = pl.Trainer(
        max_epochs=3, callbacks=[FrozenBackbone(freeze_epochs), checkpoints], accelerator="cpu", logger=False,
        enable_progress_bar=False, enable_model_summary=False, **options,
    )  # fmt: skip
    trainer.fit(module, loader, loader, ckpt_path=checkpoint)
    return module


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("val_check_interval", [1.0, 0.5])
def test_backbone_changes_only_after_the_frozen_epochs(tmp_path, val_check_interval):
    module = fit(tmp_path, 2, num_sanity_val_steps=1, val_check_interval=val_check_interval)
    backbones = [{k: v for k, v in state.items() if k.startswith("backbone.")} for state in module.states]
    heads = [{k: v for k, v in state.items() if k.startswith("head.")} for state in module.states]
    assert any("running_mean" in key for key in backbones[0])
    assert all(equal_tensors(backbones[0], backbones[1]) + equal_tensors(backbones[0], backbones[2]))
    # every weight and every statistic has changed
    assert not any(equal_tensors(backbones[2], backbones[3]))
    assert not any(
        equal_tensors(heads[0], heads[1])
        + equal_tensors(heads[1], heads[2])
        + equal_tensors(heads[2], heads[3])
    )


@pytest.mark.filterwarnings("ignore")
# an epoch has 2 steps, and the first epoch is frozen
@pytest.mark.parametrize("step", [1, 2, 3, 4, 5])
def test_resumed_run_is_frozen_in_the_same_epochs(tmp_path, step):
    full = fit(tmp_path / "full", 1)
    resumed = fit(tmp_path / "resumed", 1, checkpoint=tmp_path / "full" / f"step={step}.ckpt")
    assert all(equal_tensors(full.states[-1], resumed.states[-1]))


def test_frozen_forward_builds_no_graph(tmp_path):
    module = TinyModule()
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    FrozenBackbone(1).on_train_start(trainer, module)
    assert not module.model.backbone(torch.rand(1, 1, 16, 16)).requires_grad
    assert not module.model.backbone.training
    assert module.model.head.training


def test_plain_ddp_is_an_error(tmp_path):
    trainer = pl.Trainer(logger=False, accelerator="cpu", devices=2, strategy="ddp")
    with pytest.raises(FerError, match="ddp_find_unused_parameters_true"):
        FrozenBackbone(1).setup(trainer, TinyModule(), "fit")
    trainer = pl.Trainer(
        logger=False, accelerator="cpu", devices=2, strategy="ddp_find_unused_parameters_true"
    )
    FrozenBackbone(1).setup(trainer, TinyModule(), "fit")


def test_command_line(tiny_run, tmp_path):
    source = timm.create_model("test_resnet")
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    overrides = (
        "model=timm",
        "model.name=test_resnet",
        f"model.init_from={tmp_path}/weights.pth",
        "ema=true",
    )
    run = tiny_run(*overrides, "model.freeze_epochs=1", "model.in_channels=3")
    model = load_checkpoint(run.folder / "checkpoints" / "last.ckpt").model
    assert all(equal_tensors(model.backbone.model.state_dict(), source.state_dict()))


@pytest.mark.slow
def test_resumed_run_does_not_need_its_initial_weights(tiny_run, fer_train, tmp_path, monkeypatch):
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "weights.pth")
    step = EmotionModule.training_step
    monkeypatch.setattr(
        EmotionModule, "training_step",
        lambda self, batch, i: step(self, batch, i) * (float("nan") if self.current_epoch == 1 else 1.0),
    )  # fmt: skip
    overrides = ("model=timm", "model.name=test_resnet", f"model.init_from={tmp_path}/weights.pth")
    stopped = tiny_run(*overrides, "model.freeze_epochs=1", "trainer.max_epochs=2")
    monkeypatch.undo()
    origin = stopped.record["init_from"]
    (tmp_path / "weights.pth").unlink()
    fer_train(f"resume={stopped.folder}")
    assert stopped.record["status"] == "finished"
    assert stopped.record["init_from"] == origin
    assert origin["path"] == str(tmp_path / "weights.pth")
