"""The models of a benchmark: bundles and foreign ONNX files, which are loaded and called in the same way."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fer.bundle.card import Card, model_name
from fer.bundle.files import Bundle
from fer.bundle.foreign import ForeignClassifier
from fer.bundle.foreign_spec import find_files, read_spec
from fer.bundle.registry import find_bundle, packaged_models
from fer.bundle.runtime import OnnxClassifier
from fer.core.errors import FerError


class Classifier(Protocol):
    """A model that is ready to run.

    Attributes:
        card: Its labels, input size and crop rule.
    """

    card: Card

    def __call__(self, faces: np.ndarray) -> np.ndarray:
        """Return probabilities float32 ``(N, K)`` of uint8 faces ``(N, S, S, 3)``."""
        ...


@dataclass(frozen=True)
class BenchmarkModel:
    """A model to measure.

    Attributes:
        name: What the tables call it.
        path: Its ONNX file.
        bundle: Its bundle; None for a foreign file.
        spec: The spec of a foreign file; None for a bundle.
    """

    name: str
    path: Path
    bundle: Bundle | None = None
    spec: Path | None = None

    def load(self, threads: int, device: str) -> Classifier:
        """Return the model, ready to run.

        Raises:
            FerError: It cannot be run, or a spec does not fit its file.
        """
        if self.bundle is not None:
            return OnnxClassifier(self.bundle, threads, device)
        assert self.spec is not None
        return ForeignClassifier(self.path, self.spec, threads, device)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values from which `from_dict` makes the model again, in another process."""
        source = self.path if self.bundle is None else self.bundle.folder
        return {"source": str(source.absolute()), "spec": self.spec and str(self.spec.absolute())}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "BenchmarkModel":
        """Return the model that `to_dict` described."""
        if values["spec"] is None:
            return from_bundle(values["source"])
        return from_onnx(Path(values["source"]), Path(values["spec"]))


def find_models(
    names: Sequence[str], files: Sequence[str] = (), specs: Sequence[str] = ()
) -> list[BenchmarkModel]:
    """Return the models that a command names; without any, those that come with the package.

    Args:
        names: Folders of bundles, or names of models.
        files: Foreign ONNX files.
        specs: One for each file, in the same order; empty: the YAML files beside them.

    Raises:
        FerError: There is no such model, two have the same name, or files and specs do not match.
    """
    if not names and not files:
        names = packaged_models()
    models = [from_bundle(name) for name in names]
    models += [from_onnx(file.path, file.spec_path) for file in find_files(files, specs)]
    return _with_different_names(models)


def from_bundle(name: str | Path) -> BenchmarkModel:
    """Return the model of a bundle.

    Raises:
        FerError: There is no such bundle.
    """
    bundle = find_bundle(name)
    return BenchmarkModel(model_name(bundle.card), bundle.model_path, bundle=bundle)


def from_onnx(path: Path, spec: Path) -> BenchmarkModel:
    """Return the model of a foreign ONNX file.

    Raises:
        FerError: The file or its spec does not exist, or the spec has mistakes.
    """
    if not path.is_file():
        raise FerError(f"{path}: expected an ONNX file, but there is none. Correct the path.")
    return BenchmarkModel(read_spec(spec).name or path.stem, path, spec=spec)


def _with_different_names(models: list[BenchmarkModel]) -> list[BenchmarkModel]:
    """Return the models; those with the same name are called by their folder as well."""
    names = [model.name for model in models]
    result = []
    for model in models:
        folder = model.path.parent if model.bundle is None else model.bundle.folder.parent
        name = f"{folder.name}/{model.name}" if names.count(model.name) > 1 else model.name
        result.append(BenchmarkModel(name, model.path, model.bundle, model.spec))
    if len({model.name for model in result}) < len(result):
        shown = ", ".join(sorted({name for name in names if names.count(name) > 1}))
        raise FerError(f"models: expected different models, got {shown} twice. Name each once.")
    return result
