"""Where a model runs: on the CPU, or with CUDA, OpenVINO or Core ML, if they are installed. No torch."""

import ctypes
import importlib
import importlib.util
import os
import sys
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
import onnxruntime as ort

from fer.core.device import DEVICE_VARIABLE, DEVICES
from fer.core.errors import FerError, did_you_mean
from fer.core.threads import available_cores, is_limited

_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
# TF32 rounds products to 10 bits, and the answers would differ from those of the CPU in the third digit.
_OPTIONS: dict[str, dict[str, str]] = {"cuda": {"use_tf32": "0"}}
_INSTALL = {
    "cuda": "Replace it: pip uninstall onnxruntime, pip install onnxruntime-gpu. Or use --device cpu",
    "openvino": "Install it: pip install 'fer-lightning[openvino]'. Or use --device cpu",
    "coreml": "ONNX Runtime has it on macOS only. Use --device cpu",
}
# ONNX Runtime's log level "error": a user can do nothing about its warnings.
_LOG_ERRORS = 3


def choose_device(device: str | None = None) -> str:
    """Return the device that is used: one of `DEVICES` other than ``auto``.

    Args:
        device: One of `DEVICES`; None: ``auto``. ``auto`` is the variable FER_DEVICE if it is set, else
            ``cuda`` if ONNX Runtime has it and there is a GPU, else ``cpu``. OpenVINO and Core ML are never
            chosen, because they were not faster where it was measured, or not measured at all.

    Raises:
        FerError: There is no such device, or it is not installed.
    """
    key = "device"
    if device in (None, "auto"):
        key, device = f"--device or {DEVICE_VARIABLE}", os.environ.get(DEVICE_VARIABLE) or "auto"
    if device not in DEVICES:
        hint = did_you_mean(str(device), DEVICES)
        raise FerError(f"{key}: expected one of {', '.join(DEVICES)}, got {device!r}.{hint}")
    if device == "auto":
        return "cuda" if _has_provider("cuda") and _has_gpu() else "cpu"
    if not _is_installed(device):
        has = ", ".join(name for name in _PROVIDERS if _is_installed(name))
        raise FerError(
            f"{key}: expected a device that is installed ({has}), got {device}, which ONNX Runtime "
            f"{ort.__version__} here does not have. {_INSTALL[device]}."
        )
    return device


def _has_provider(device: str) -> bool:
    return _PROVIDERS[device] in ort.get_available_providers()


@lru_cache
def _has_gpu() -> bool:
    """Return whether NVIDIA's driver has a GPU for this process; `onnxruntime-gpu` also runs without one."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    number = ctypes.c_int()
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(number)) == 0 and number.value > 0


def _is_installed(device: str) -> bool:
    is_package = device == "openvino" and importlib.util.find_spec("openvino") is not None
    return _has_provider(device) or is_package


def runtime_name(device: str) -> str:
    """Return the library and provider that run models on a device from `choose_device`, with the version."""
    if device == "openvino" and not _has_provider(device):
        return f"OpenVINO {version('openvino')}"
    return f"ONNX Runtime {ort.__version__} ({_PROVIDERS[device]})"


def create_session(model: Path, threads: int | None, device: str) -> "ort.InferenceSession | OpenVinoSession":
    """Load an ONNX file.

    Args:
        model: Path of the file.
        threads: CPU threads per call; None: all cores.
        device: From `choose_device`.

    Raises:
        FerError: The device is installed, but does not work.
        Exception: One of ONNX Runtime's, which have no common base class: it cannot load the file.
    """
    if device == "openvino" and not _has_provider(device):
        return OpenVinoSession(model, threads)
    if device == "cuda":
        # Finds the libraries of NVIDIA's packages from PyPI.
        ort.preload_dlls()
    options = session_options(threads)
    providers: list[Any] = [(_PROVIDERS[device], _OPTIONS.get(device, {}))]
    if device != "cpu":
        # For operators that the device does not have.
        providers.append(_PROVIDERS["cpu"])
    session = ort.InferenceSession(str(model), options, providers=providers)
    used = session.get_providers()
    if _PROVIDERS[device] not in used:
        raise FerError(
            f"device: expected {device} to work, but ONNX Runtime could not start it and uses {used[0]}. "
            "Check driver and libraries (the message above), or use --device cpu."
        )
    return session


def session_options(threads: int | None) -> ort.SessionOptions:
    """Return the options of ONNX Runtime for a number of CPU threads; None: all cores."""
    options = ort.SessionOptions()
    options.log_severity_level = _LOG_ERRORS
    # 0: one per physical core, but ONNX Runtime knows neither --threads nor the limits of a container.
    options.intra_op_num_threads = threads or (available_cores() if is_limited() else 0)
    # Spinning threads would take CPU time from face detection, which runs in parallel.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


class OpenVinoSession:
    """A model in OpenVINO, with the methods of ``ort.InferenceSession`` that are used here. Thread-safe.

    OpenVINO's own package is smaller than ONNX Runtime with OpenVINO, and can be installed beside ours.
    ONNX Runtime only reads names, shapes and metadata.

    Args:
        model: Path of the ONNX file.
        threads: CPU threads per call; None: all cores.
    """

    def __init__(self, model: Path, threads: int | None) -> None:
        openvino: Any = importlib.import_module("openvino")

        options = session_options(1)
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._description = ort.InferenceSession(str(model), options, providers=[_PROVIDERS["cpu"]])
        config: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads or available_cores(),
            # On CPUs with AMX it would compute in bf16.
            "INFERENCE_PRECISION_HINT": "f32",
            "ENABLE_CPU_PINNING": False,
        }
        self._compiled = openvino.compile_model(str(model), "CPU", config)
        self._requests: SimpleQueue[Any] = SimpleQueue()
        # As ONNX Runtime has them.
        self.get_inputs = self._description.get_inputs
        self.get_outputs = self._description.get_outputs
        self.get_modelmeta = self._description.get_modelmeta

    def get_providers(self) -> list[str]:
        """Return the names of the providers: one, OpenVINO."""
        return ["OpenVINO"]

    def run(self, names: list[str] | None, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Return the outputs with these names; None: all."""
        wanted = names or [output.name for output in self.get_outputs()]
        if not all(len(batch) for batch in feeds.values()):
            return self._description.run(wanted, feeds)
        try:
            request = self._requests.get_nowait()
        except Empty:
            request = self._compiled.create_infer_request()
        try:
            request.infer(feeds)
            # A copy, because the next call writes to the same memory.
            return [request.get_tensor(name).data.copy() for name in wanted]
        finally:
            self._requests.put(request)
