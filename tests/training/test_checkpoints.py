"""Checkpoint callbacks of a run whose folder was moved."""

import torch

from fer.training.callbacks import checkpoint_callbacks


def test_best_score_is_kept_after_a_move(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    best, last = checkpoint_callbacks(old, "val/accuracy", "max")
    best.best_model_score = best.kth_value = torch.tensor(0.6)
    best.best_model_path = best.kth_best_model_path = str(old / "best.ckpt")
    best.best_k_models = {str(old / "best.ckpt"): torch.tensor(0.6)}
    last.best_model_path = str(old / "last.ckpt")
    for moved, saved in zip(checkpoint_callbacks(new, "val/accuracy", "max"), (best, last), strict=True):
        moved.load_state_dict(saved.state_dict())
        file = new.resolve() / f"{moved.filename}.ckpt"
        assert moved.best_model_path == str(file)
        assert moved.best_model_score == saved.best_model_score
        assert moved.best_k_models == {str(file): value for value in saved.best_k_models.values()}
        assert moved.state_key == saved.state_key


def test_first_checkpoint_has_no_paths_to_move(tmp_path):
    (saved, _), (moved, _) = (checkpoint_callbacks(tmp_path / name, "val/loss", "min") for name in "ab")
    moved.load_state_dict(saved.state_dict())
    assert moved.best_model_path == ""
