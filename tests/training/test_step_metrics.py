"""Training metrics of the last steps, without Lightning: which steps are logged, and what."""

from types import SimpleNamespace

import pytest
import torch

from fer.training.step_metrics import StepMetrics


class Fit:
    """A fit of ``steps`` batches of 4 images; the loss of step n is n, and one image is right."""

    def __init__(self, every, rates=(0.1,), batches=100):
        self.logged = []
        groups = [{"lr": rate, "initial_lr": 10 * rate} for rate in rates]
        logger = SimpleNamespace(log_metrics=lambda metrics, step: self.logged.append((step, metrics)))
        self.trainer = SimpleNamespace(
            loggers=[logger], optimizers=[SimpleNamespace(param_groups=groups)], num_training_batches=batches,
            global_step=0, current_epoch=0, world_size=1, is_global_zero=True, val_check_interval=1.0,
        )  # fmt: skip
        self.module = SimpleNamespace(sums={}, labels=SimpleNamespace(names=("sad",)))
        self.callback = StepMetrics(every)
        self.callback.on_train_start(self.trainer, self.module)

    def epoch(self, steps):
        self.module.sums = {}
        self.callback.on_train_epoch_start(self.trainer, self.module)
        for _ in range(steps):
            self.trainer.global_step += 1
            sums = torch.tensor([4.0 * self.trainer.global_step, 1.0, 4.0])
            self.module.sums["train"] = self.module.sums.get("train", 0.0) + sums
            self.callback.on_train_batch_end(self.trainer, self.module, None, {}, 0)
        self.trainer.current_epoch += 1

    def values(self, name):
        return {step: metrics[name] for step, metrics in self.logged}


def test_each_row_is_of_the_steps_since_the_one_before():
    fit = Fit(every=2)
    fit.epoch(5)
    fit.epoch(3)
    # The last step of the first epoch is in no row.
    assert fit.values("train/loss_step") == {2: 1.5, 4: 3.5, 6: 6.0, 8: 7.5}
    assert set(fit.values("train/accuracy_step").values()) == {0.25}
    assert all(speed > 0 for speed in fit.values("perf/images_per_second_step").values())
    # As Lightning logs epochs; the loggers of a run count them from 1.
    assert fit.values("epoch") == {2: 0, 4: 0, 6: 1, 8: 1}


@pytest.mark.parametrize(
    ("every", "batches", "steps"),
    [(None, 100, [50, 100]), (None, 30, [30, 60, 90, 120]), (40, 30, [40, 80, 120]), (0, 30, [])],
)
def test_number_of_steps(every, batches, steps):
    fit = Fit(every, batches=batches)
    for _ in range(120 // batches + (120 % batches > 0)):
        fit.epoch(batches)
    assert [step for step, _ in fit.logged if step <= 120] == steps


def test_different_rates_are_logged_from_the_highest_on():
    fit = Fit(every=1, rates=(0.1, 0.1, 0.4, 0.2))
    fit.epoch(1)
    rates = {name: rate for name, rate in fit.logged[0][1].items() if name.startswith("lr")}
    assert rates == {"lr": 0.4, "lr/1": 0.4, "lr/2": 0.2, "lr/3": 0.1}
    same = Fit(every=1, rates=(0.1, 0.1))
    same.epoch(1)
    assert [name for name in same.logged[0][1] if name.startswith("lr")] == ["lr"]


def test_a_step_that_is_not_logged_reads_nothing_from_the_device():
    class OnDevice(torch.Tensor):
        def tolist(self):
            raise AssertionError("the step waits for the device")

    fit = Fit(every=50)
    fit.module.sums = {"train": torch.zeros(3).as_subclass(OnDevice)}
    for step in range(1, 50):
        fit.trainer.global_step = step
        fit.callback.on_train_batch_end(fit.trainer, fit.module, None, {}, 0)
    fit.trainer.global_step = 50
    with pytest.raises(AssertionError, match="waits"):
        fit.callback.on_train_batch_end(fit.trainer, fit.module, None, {}, 0)
