"""What Lightning's checkpoints remember of a run whose folder was moved."""

import torch

from fer.training.callbacks import checkpoints


def test_the_best_score_moves_along(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    best, last = checkpoints(here, "val/accuracy")
    best.best_model_score = best.kth_value = torch.tensor(0.6)
    best.best_model_path = best.kth_best_model_path = str(here / "best.ckpt")
    best.best_k_models = {str(here / "best.ckpt"): torch.tensor(0.6)}
    last.best_model_path = str(here / "last.ckpt")
    for moved, told in zip(checkpoints(there, "val/accuracy"), (best, last), strict=True):
        moved.load_state_dict(told.state_dict())
        file = there.resolve() / f"{moved.filename}.ckpt"
        assert moved.best_model_path == str(file)
        assert moved.best_model_score == told.best_model_score
        assert moved.best_k_models == {str(file): value for value in told.best_k_models.values()}
        assert moved.state_key == told.state_key


def test_a_first_checkpoint_has_no_paths_to_move(tmp_path):
    (told, _), (moved, _) = (checkpoints(tmp_path / name, "val/loss") for name in "ab")
    moved.load_state_dict(told.state_dict())
    assert moved.best_model_path == ""
