"""Writing a network as an ONNX file that says what its answers mean."""

import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path

import onnx
import torch

from fer.bundle.runtime import ATTENTION, FACES, PROBABILITIES
from fer.exporting.graph import Deployed, mask_of
from fer.labels import LabelSpace

OPSET = 18  # of ONNX 1.13 (2022): older runtimes and other languages read it too
_EXAMPLES = 2  # of one picture the exporter would conclude that there is always one


def write_onnx(network: Deployed, path: Path, about: Mapping[str, str]) -> None:
    """Write a network for any number of faces at a time.

    Args:
        network: In evaluation mode.
        path: The file.
        about: What stands in its metadata, from `metadata`.
    """
    side = network.image_size
    faces = torch.zeros(_EXAMPLES, side, side, 3, dtype=torch.uint8)
    outputs = [PROBABILITIES] if mask_of(network.model) is None else [PROBABILITIES, ATTENTION]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of torch, about its own insides
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            network.eval(), (faces,), input_names=[FACES], output_names=outputs, opset_version=OPSET,
            dynamo=True, dynamic_shapes=({0: torch.export.Dim("N")},), verbose=False,
        )  # fmt: skip
        assert program is not None
        program.save(str(path), external_data=False)
    finish(path, about)


def metadata(name: str, labels: LabelSpace, schema_version: int) -> dict[str, str]:
    """Return what an ONNX file says of itself; ``labels`` is a JSON list in the order of the answers."""
    return {
        "name": name,
        "labels": json.dumps(list(labels.names), ensure_ascii=False),
        "schema_version": str(schema_version),
    }


def finish(path: Path, about: Mapping[str, str]) -> None:
    """Write metadata, and take out what the exporter notes of this machine: paths and traces of the code."""
    model = onnx.load(path)
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer,
                 *model.graph.input, *model.graph.output, *model.functions):  # fmt: skip
        del part.metadata_props[:]
        part.doc_string = ""
    onnx.helper.set_model_props(model, dict(about))
    onnx.save(model, path)
