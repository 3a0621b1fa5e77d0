"""Start-up and memory: a new process that loads a model and a detector, and predicts on one frame."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from fer.benchmark.models import BenchmarkModel
from fer.core.errors import FerError

_STARTS = 3


def measure_startup(
    model: BenchmarkModel, device: str, detector: str, detector_model: str | None
) -> dict[str, float]:
    """Start processes that predict on a frame with a synthetic face, on one CPU thread.

    Returns:
        JSON values, medians of three processes: ``seconds`` from the start of Python to the first answer, and
        ``peak_megabytes`` of memory, in 10^6 bytes: Python, libraries, detector and model.

    Raises:
        FerError: The process failed.
    """
    options = {"device": device, "detector": detector, "detector_model": detector_model}
    request = json.dumps(model.to_dict() | options)
    runs = [_run([sys.executable, "-m", "fer.benchmark.startup", request]) for _ in range(_STARTS)]
    seconds, megabytes = map(median, zip(*runs, strict=True))
    return {"seconds": seconds, "peak_megabytes": megabytes}


def _run(command: Sequence[str]) -> tuple[float, float]:
    start = time.perf_counter()
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode:
        lines = process.stderr.strip().splitlines()
        raise FerError(
            f"start-up: expected a process that predicts, got: {lines[-1] if lines else 'no message'}."
        )
    answer = json.loads(process.stdout.splitlines()[-1])
    return answer["answered"] - start, answer["megabytes"]


def peak_megabytes() -> float:
    """Return the peak of this process's memory, in 10^6 bytes."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Not that of the process that started this one, which the value of `resource` includes.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # In bytes on macOS.
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _predict(request: dict[str, str]) -> None:
    import cv2

    from fer.benchmark.frames import make_frames, predict_frame
    from fer.faces.detectors import choose_detector

    cv2.setNumThreads(1)
    classifier = BenchmarkModel.from_dict(request).load(1, request["device"])
    detector = choose_detector(request["detector"], request["detector_model"])
    predict_frame(make_frames()[0], detector, classifier)
    # The clock of all processes of a machine.
    print(json.dumps({"answered": time.perf_counter(), "megabytes": peak_megabytes()}))


if __name__ == "__main__":
    _predict(json.loads(sys.argv[1]))
