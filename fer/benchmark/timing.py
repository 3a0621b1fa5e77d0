"""Time functions that take turns in one process, and the network of a bundle in torch, to be timed with them.

Times of another hour or machine are not comparable.
"""

import statistics
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np

from fer.bundle.card import Card
from fer.core.errors import FerError

ROUNDS = 15
Clock = Callable[[], float]


def time_in_turns(
    functions: Sequence[Callable[[], object]],
    seconds: float = 1.0,
    rounds: int | None = None,
    clock: Clock = time.perf_counter,
) -> np.ndarray:
    """Return the seconds of a call of each function.

    In each round every function is called for the same time, in alternating order, so that other load on the
    machine affects all of them. A function is called at least once in a round. The first call is not timed.

    Args:
        functions: One or more.
        seconds: Time for each function, over all rounds.
        rounds: Number of rounds; None: `ROUNDS`.
        clock: From `choose_clock`.

    Returns:
        float64 ``(rounds, number of functions)``: the median of the calls of a round.
    """
    repeats, rounds = [], rounds or ROUNDS
    for function in functions:
        function()
        repeats.append(max(1, round(seconds / rounds / max(_time(function, 1, clock), 1e-9))))
    times = np.empty((rounds, len(functions)))
    for number, row in enumerate(times):
        order = range(len(functions))
        for index in order if number % 2 else reversed(order):
            row[index] = _time(functions[index], repeats[index], clock)
    return times


def choose_clock(device: str, threads: int) -> Clock:
    """Return the clock for calls on a device.

    With one thread of the CPU it is the CPU time of this process, which stops while another process has
    the core. In all other cases, and on Windows, whose CPU time is coarse, it is the wall-clock time.
    """
    is_one_core = device in ("cpu", "openvino") and threads == 1 and sys.platform != "win32"
    return time.process_time if is_one_core else time.perf_counter


def _time(function: Callable[[], object], repeats: int, clock: Clock) -> float:
    """Return the median seconds of the calls, so that a few that another process interrupts do not count."""
    times = []
    for _ in range(repeats):
        start = clock()
        function()
        times.append(clock() - start)
    return statistics.median(times)


def summarize(times: np.ndarray) -> dict[str, float]:
    """Return ``median`` and the quartiles ``low`` and ``high`` of the seconds of the rounds ``(rounds,)``."""
    low, middle, high = np.percentile(times, [25, 50, 75])
    return {"median": float(middle), "low": float(low), "high": float(high)}


def ratio(times: np.ndarray, reference: np.ndarray) -> float:
    """Return the median over the rounds of ``times / reference``: how many times as long."""
    return float(np.median(times / reference))


def torch_network(
    card: Card, batch_size: int, threads: int, device: str = "cpu"
) -> Callable[[], object] | None:
    """Return a function that computes the network of a bundle in torch, in fp32 with random weights.

    It starts from floating-point images in the size of the network, so that, other than in the bundle's file,
    gray and resizing are not part of it.

    Args:
        card: Its training recipe names the network.
        batch_size: Images in a call.
        threads: CPU threads.
        device: Device of the bundle. Torch uses the GPU for ``cuda``, else the CPU.

    Returns:
        None if the card has no recipe: a foreign file, or an ensemble.

    Raises:
        FerError: Torch is not installed, or has no GPU for ``cuda``.
    """
    recipe, shape = card.training.get("recipe") or {}, card.training.get("manifest", {}).get("image_shape")
    if "model" not in recipe or shape is None or "members" in card.training:
        return None
    try:
        import torch

        from fer.models.config import AttentionConfig, ModelConfig
        from fer.models.factory import build_model
    except ModuleNotFoundError as error:
        raise FerError(
            "--torch: expected torch to be installed, but it is not. Install it with "
            "pip install 'fer-lightning[train]', or omit --torch."
        ) from error
    config = ModelConfig.from_dict(recipe["model"]).replace(pretrained=False, init_from=None)
    attention = AttentionConfig.from_dict(recipe["attention"])
    network = build_model(config, len(card.labels), shape[2], attention).eval()
    images = torch.rand(batch_size, shape[2], config.image_size, config.image_size)
    if device == "cuda":
        if not torch.cuda.is_available():
            raise FerError(
                "--torch: expected a GPU for torch as well with --device cuda, got a torch without one. "
                "Install torch for CUDA, or omit --torch."
            )
        network = network.cuda()

    @torch.inference_mode()
    def compute() -> object:
        torch.set_num_threads(threads)
        # As the bundle's answer: from images on the host to numbers on the host.
        return network(images.to(device="cuda")).cpu() if device == "cuda" else network(images)

    return compute
