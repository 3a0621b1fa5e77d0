"""Write a network as an ONNX file with the labels in its metadata."""

import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path

import onnx
import torch

from fer.bundle.runtime import ATTENTION, FACES, PROBABILITIES
from fer.exporting.graph import ExportModel, attention_mask
from fer.labels import LabelSpace

# Opset of ONNX 1.13 (2022), for compatibility with older runtimes and other languages.
OPSET = 18
# With a batch of one, the exporter would treat the batch size as constant.
_EXAMPLE_BATCH = 2


def write_onnx(network: ExportModel, path: Path, about: Mapping[str, str]) -> None:
    """Write a network as ONNX with a dynamic batch size.

    Args:
        network: The network in evaluation mode.
        path: File to write.
        about: Metadata of the file; see `metadata`.
    """
    side = network.image_size
    faces = torch.zeros(_EXAMPLE_BATCH, side, side, 3, dtype=torch.uint8)
    outputs = [PROBABILITIES] if attention_mask(network.model) is None else [PROBABILITIES, ATTENTION]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch warns about its own internals
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            network.eval(), (faces,), input_names=[FACES], output_names=outputs, opset_version=OPSET,
            dynamo=True, dynamic_shapes=({0: torch.export.Dim("N")},), verbose=False,
        )  # fmt: skip
        assert program is not None
        program.save(str(path), external_data=False)
    write_metadata(path, about)


def metadata(name: str, labels: LabelSpace, schema_version: int) -> dict[str, str]:
    """Return the metadata of an ONNX file; ``labels`` is a JSON list in the order of the probabilities."""
    return {
        "name": name,
        "labels": json.dumps(list(labels.names), ensure_ascii=False),
        "schema_version": str(schema_version),
    }


def write_metadata(path: Path, about: Mapping[str, str]) -> None:
    """Write metadata, and remove what the exporter adds about this machine: paths and stack traces."""
    model = onnx.load(path)
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer,
                 *model.graph.input, *model.graph.output, *model.functions):  # fmt: skip
        del part.metadata_props[:]
        part.doc_string = ""
    onnx.helper.set_model_props(model, dict(about))
    onnx.save(model, path)
