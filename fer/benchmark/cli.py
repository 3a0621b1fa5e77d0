"""fer-benchmark: speed, start-up, memory and size of models on this machine."""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fer.core.command_line import command_parser, number, run_command
from fer.core.device import add_device_option
from fer.core.errors import FerError
from fer.core.paths import atomic_write, expand_user
from fer.core.text import aligned

_EXAMPLES = """examples:
  fer-benchmark                                            the models that come with the package
  fer-benchmark fer2013 RUN/bundle --plot speed.svg        your own model beside them
  fer-benchmark --onnx model.onnx --spec spec.yaml         a foreign ONNX file; docs/evaluation.md has a spec
  fer-benchmark fer2013 --onnx model.onnx --data fer2013:fer2013.csv --plot speed.svg
  fer-benchmark --torch --json speed.json                  also the same networks in torch
  fer-benchmark fer2013 --device openvino --threads 1,4    another runtime, other numbers of threads

Models take turns in one process, so that other load on the machine affects all of them. Nothing else should
run. Accuracies are those of the cards; with --data they are measured on the same images."""
_STANDARD = "-"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    command = command_parser(
        "fer-benchmark",
        "Measure models on this machine: milliseconds per face alone and in batches, frames/s "
        "with the face detector, start-up, memory and file size.",
        _EXAMPLES,
    )
    add = command.add_argument
    add(
        "models",
        nargs="*",
        metavar="MODEL",
        help="bundle folder or model name (default: those of the package)",
    )
    add("--onnx", action="append", default=[], metavar="FILE", help="foreign ONNX file; can be repeated")
    spec = "its spec, one for each --onnx (default: the YAML file of the same name beside it)"
    add("--spec", action="append", default=[], metavar="FILE", help=spec)
    add_device_option(command)
    threads = "numbers of CPU threads, separated by commas (default: 1 and all cores)"
    add("--threads", type=_numbers, default=(), metavar="N,…", help=threads)
    detectors = ("auto", "yunet", "haar", "mtcnn")
    add("--detector", default="auto", choices=detectors, help="face detector of the frames (default: auto)")
    add("--detector-model", metavar="FILE", help="model file of the detector (yunet)")
    photos = "also predict on this folder, and use its images as frames (default: a synthetic face)"
    add("--photos", metavar="DIR", help=photos)
    seconds = "seconds for each measurement of each model (default: 1)"
    positive = number("a number of seconds above 0", lambda value: 0 < value < math.inf)
    add("--seconds", type=positive, default=1.0, metavar="S", help=seconds)
    data = "measure the accuracy on labelled images, as fer-evaluate does (default: that of the cards)"
    add("--data", metavar="KIND:PATH", help=data)
    add("--torch", action="store_true", help="also time the networks in torch, if it is installed")
    profile = (
        "also show where ONNX Runtime spends the time of one face, by operator, on one thread of the CPU"
    )
    add("--profile", action="store_true", help=profile)
    add("--json", metavar="FILE", help="write the result as JSON; - is standard output")
    add("--plot", metavar="FILE", help="write a plot of accuracy against speed (.svg, .png, .pdf)")
    add("--markdown", action="store_true", help="print the table in Markdown")
    return command


def _numbers(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"expected numbers of threads such as 1,4, got {text!r}")
    return tuple(dict.fromkeys(map(int, parts)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``fer-benchmark`` and exit."""
    request = parser().parse_args(arguments)
    sys.exit(run_command(lambda: _run(request)))


def _run(request: argparse.Namespace) -> None:
    # Loads OpenCV and ONNX Runtime, which --help does not need.
    from fer.benchmark.report import save_plot

    _check_outputs(request)
    result = _measure(request)
    text = sys.stderr if request.json == _STANDARD else sys.stdout
    # Before the tables, whose reader may stop early (| head).
    if request.json and request.json != _STANDARD:
        with atomic_write(expand_user(request.json)) as file:
            file.write((json.dumps(result, indent=1) + "\n").encode())
    if request.plot:
        save_plot(result, expand_user(request.plot))
    _print(result, request.markdown, text)
    if request.json == _STANDARD:
        print(json.dumps(result, indent=1))
    for name in ("json", "plot"):
        if (path := getattr(request, name)) and path != _STANDARD:
            print(f"{name:12} {path}", file=text)


def _check_outputs(request: argparse.Namespace) -> None:
    """Check before the minutes of measurements that the files can be written."""
    for option, name in (("--json", request.json), ("--plot", request.plot)):
        if not name or name == _STANDARD:
            continue
        folder = expand_user(name).parent
        if not folder.is_dir():
            raise FerError(f"{option} {name}: expected a folder that exists, got {folder}. Create it.")
    if request.plot and Path(request.plot).suffix not in (".svg", ".png", ".pdf"):
        raise FerError(f"--plot {request.plot}: expected a file that ends in .svg, .png or .pdf.")


def _measure(request: argparse.Namespace) -> dict[str, Any]:
    from fer.benchmark.accuracy import accuracy_of
    from fer.benchmark.benchmark import Settings, benchmark
    from fer.benchmark.models import find_models
    from fer.benchmark.report import check_accuracies
    from fer.benchmark.torch_network import torch_network

    settings = Settings(
        device=request.device,
        threads=request.threads,
        detector=request.detector,
        detector_model=request.detector_model,
        photos=_photos(request.photos),
        seconds=request.seconds,
        data=request.data,
        torch=torch_network if request.torch else None,
    )
    models = find_models(request.models, request.onnx, request.spec)
    if request.plot and not request.data:
        check_accuracies([accuracy_of(model.bundle.card) for model in models if model.bundle is not None])
    result = benchmark(models, settings)
    if request.profile:
        from fer.benchmark.profile import profile

        for model, entry in zip(models, result["models"], strict=True):
            entry["profile"] = profile(model)
    return result


def _photos(folder: str | None) -> tuple[Path, ...]:
    if folder is None:
        return ()
    from fer.predict.sources import list_image_files

    path = expand_user(folder)
    files = tuple(list_image_files(path)) if path.is_dir() else ()
    if not files:
        raise FerError(f"--photos {folder}: expected a folder with images, got none. Correct the path.")
    return files


def _print(result: dict[str, Any], markdown: bool, text: Any) -> None:
    from fer.benchmark.profile import profile_rows
    from fer.benchmark.report import markdown_table, notes, table_rows

    def show(rows: Sequence[tuple[str, ...]]) -> None:
        lines = "\n".join(aligned(rows, right=range(1, len(rows[0]))))
        print(markdown_table(rows) if markdown else lines, file=text)

    show(table_rows(result))
    for model in result["models"]:
        if "profile" in model:
            print(f"\n{model['name']}, one face, by operator:", file=text)
            show(profile_rows(model["profile"]))
    print(file=text)
    for line in notes(result):
        print(line, file=text, flush=True)


if __name__ == "__main__":
    main()
