"""``model.pretrained=FILE``: weights from a file, through the command line."""

import safetensors.torch
import timm
import torch

from fer.checkpoint import load_checkpoint


def test_a_file_of_weights_is_a_start_through_the_command_line(tiny_run, tmp_path):
    donor = timm.create_model("test_resnet", pretrained=False)
    safetensors.torch.save_file(donor.state_dict(), tmp_path / "w.safetensors")
    words = ("model=timm", "model.name=test_resnet", "model.freeze_epochs=9", "trainer.max_epochs=1")
    run = tiny_run(*words, f"model.pretrained={tmp_path / 'w.safetensors'}")
    assert run.status == 0
    weights = load_checkpoint(run.folder / "checkpoints/last.ckpt").model.backbone.state_dict()
    same = [torch.equal(value, weights[f"model.{key}"]) for key, value in donor.state_dict().items()
            if f"model.{key}" in weights and "layer1" in key and key.endswith("weight")]  # fmt: skip
    assert same
    assert all(same)
