"""``batch_size_find=true``: training speed and memory of batch sizes, and the command that uses the best.

A search for the largest batch that fits, as in Lightning's Tuner, says nothing on a CPU and little on a GPU:
speed stops rising long before memory is full. Nothing is trained for keeps.
"""

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from fer.analysis.plots.style import save_figure
from fer.analysis.plots.tuning import plot_batch_sizes
from fer.core.errors import FerError
from fer.core.threads import CoreWait, busy_warning
from fer.data.datamodule import read_data
from fer.training.config import RunConfig
from fer.training.probe import command_with, fit_steps

SMALLEST, LARGEST = 16, 4096
# Steps that are not measured: the first ones allocate memory and choose algorithms.
_WARM_UP = 2
# A size is measured for so many steps, or so many seconds.
_STEPS, _SECONDS = 20, 2.0
# Fraction of the highest speed that the suggestion has.
_SUFFICIENT = 0.95
_GB = 1e9


@dataclass(frozen=True)
class BatchSizeTest:
    """The measurement of one batch size.

    Attributes:
        size: Images per batch.
        speed: Training images per second.
        memory: Peak memory in GB: of the device, or on a CPU of this process.
    """

    size: int
    speed: float
    memory: float


def batch_size_find(config: RunConfig, folder: Path) -> list[BatchSizeTest]:
    """Measure powers of two, write ``batch_size_find.png``, and print a table and the suggestion.

    The search ends at the size of the training split, at 4,096, or where memory would not suffice.

    Args:
        config: The config of the run.
        folder: An existing folder.

    Raises:
        FerError: The data or an option is wrong, or the smallest batch does not fit.
    """
    data = read_data(config.data)
    tests: list[BatchSizeTest] = []
    wait = CoreWait()
    size = SMALLEST
    while size <= LARGEST and _would_fit(tests):
        callback = _Stopwatch(size)
        sized = config.replace(datamodule=config.data.replace(batch_size=size))
        try:
            fit_steps(sized, _WARM_UP + _STEPS, folder, callback, data)
        except FerError as error:
            if not tests:
                raise
            print(f"batch size {size}: {error}")
            break
        if not callback.seconds:
            break
        tests.append(BatchSizeTest(size, size / callback.step_seconds, callback.memory))
        size *= 2
    if not tests:
        raise FerError(f"batch_size_find: expected more than {3 * SMALLEST} training images. Use more data.")
    _report(config, folder, tests)
    if text := busy_warning(wait.share()):
        print(text, flush=True)
    return tests


def suggest(tests: list[BatchSizeTest]) -> int:
    """Return the smallest size with 95 % of the highest speed."""
    fastest = max(test.speed for test in tests)
    return min(test.size for test in tests if test.speed >= _SUFFICIENT * fastest)


def _report(config: RunConfig, folder: Path, tests: list[BatchSizeTest]) -> None:
    suggestion = suggest(tests)
    sizes, speeds = [test.size for test in tests], [test.speed for test in tests]
    memory, title = [test.memory for test in tests], f"Batch size of {config.model.name}"
    figure = plot_batch_sizes(sizes, speeds, memory, suggestion, title)
    save_figure(figure, folder / "batch_size_find.png")
    table = Table(
        *(Column(name, justify="right") for name in ("batch size", "images/s", "memory")), box=SIMPLE
    )
    for test in tests:
        mark = " <" if test.size == suggestion else ""
        table.add_row(str(test.size), f"{test.speed:,.0f}", f"{test.memory:.2f} GB{mark}")
    Console(highlight=False, soft_wrap=True).print(table)
    print(f"plot     {folder / 'batch_size_find.png'}")
    print(
        f"suggestion {suggestion}: the smallest batch size with 95 % of the highest speed. Another size needs"
    )
    print("another optimizer.lr: add lr_find=true to this command before training.")
    print(f"train    {command_with('batch_size_find', f'datamodule.batch_size={suggestion}')}", flush=True)


def _would_fit(tests: list[BatchSizeTest]) -> bool:
    """Return whether the next size is expected to fit into the machine's memory; a GPU is asked instead."""
    if torch.cuda.is_available() or len(tests) < 2:
        return True
    growth = max(0.0, tests[-1].memory - tests[-2].memory)
    return 2 * growth * _GB < 0.8 * psutil.virtual_memory().available


class _Stopwatch(Callback):
    """Measure the seconds of the steps after the first ones, and the peak memory.

    Attributes:
        seconds: Duration of each step on a CPU; on a GPU one mean of all, because steps are queued there.
        memory: Peak memory in GB.

    Args:
        size: Expected images per batch; smaller batches are not measured.
    """

    def __init__(self, size: int) -> None:
        self.size, self.memory = size, 0.0
        self.seconds: list[float] = []
        self._start = 0.0

    @property
    def step_seconds(self) -> float:
        """The median, which another process that took the cores for some steps does not change."""
        return statistics.median(self.seconds)

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Reset the peak of the device's memory."""
        if pl_module.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(pl_module.device)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure, and stop after some seconds."""
        is_gpu = pl_module.device.type == "cuda"
        step = trainer.global_step * trainer.accumulate_grad_batches
        if is_gpu and (step <= _WARM_UP or step == _WARM_UP + _STEPS):
            torch.cuda.synchronize(pl_module.device)
        if step <= _WARM_UP:
            self._start = time.perf_counter()
            return
        self._measure(step - _WARM_UP, is_gpu)
        peak = (
            torch.cuda.max_memory_allocated(pl_module.device)
            if is_gpu
            else psutil.Process().memory_info().rss
        )
        self.memory = max(self.memory, peak / _GB)
        if sum(self.seconds) > _SECONDS and not is_gpu:
            trainer.should_stop = True

    def _measure(self, steps: int, is_gpu: bool) -> None:
        now = time.perf_counter()
        if is_gpu:
            self.seconds = [(now - self._start) / steps]
            return
        self.seconds.append(now - self._start)
        self._start = now
