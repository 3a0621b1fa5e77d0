"""The result of a benchmark as a table, and as a plot of accuracy against speed."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fer.analysis.metrics.estimate import points
from fer.core.errors import FerError
from fer.core.text import counted, with_interval

Row = tuple[str, ...]
_UNKNOWN = "unknown"
# Share of time waiting for a core above which times are not those of the machine.
_MAX_WAIT = 0.1


def table_rows(result: Mapping[str, Any]) -> list[Row]:
    """Return the table: a header with the names of the models, and one row for each quantity."""
    models = result["models"]
    rows: list[Row] = [("", *(model["name"] for model in models))]
    add = rows.append
    add(("precision", *(model["precision"] for model in models)))
    add(("file, MB", *(f"{model['file_bytes'] / 1e6:.2f}" for model in models)))
    for calls in zip(*(model["calls"] for model in models), strict=True):
        rows += _call_rows(calls)
    frames = [model["frame"] for model in models]
    size = " x ".join(map(str, frames[0]["size"]))
    what = f"{size} frame, {_faces(frames[0])}, {frames[0]['detector']} and model, 1 thread"
    add((f"{what}, ms", *(f"{frame['milliseconds']:.1f}" for frame in frames)))
    add(("  of which the detector, ms", *(f"{frame['detector_milliseconds']:.1f}" for frame in frames)))
    add(("  frames/s", *(f"{frame['frames_per_second']:.0f}" for frame in frames)))
    photos = [model.get("photos") for model in models]
    if known := next(filter(None, photos), None):
        cells = ("-" if entry is None else f"{entry['photos_per_second']:,.0f}" for entry in photos)
        add((f"photographs/s from files, {_threads(known['threads'])}", *cells))
        ratios = ("-" if entry is None else f"{entry['times_as_long']:.2f} times" for entry in photos)
        add(("  time relative to the detector alone, on images in memory", *ratios))
    starts = [model["startup"] for model in models]
    add(("start of Python to first answer, s", *(f"{start['seconds']:.2f}" for start in starts)))
    add(("peak memory of that process, MB", *(f"{start['peak_megabytes']:.0f}" for start in starts)))
    add((_accuracy_label(models), *(_accuracy(model["accuracy"]) for model in models)))
    return rows


def _call_rows(calls: Sequence[Mapping[str, Any]]) -> list[Row]:
    size, threads = calls[0]["batch_size"], calls[0]["threads"]
    what = "one face at a time" if size == 1 else f"batches of {size}"
    label = f"{what}, {_threads(threads)}"
    rows: list[Row] = [(f"{label}, ms per face", *(_milliseconds(call["milliseconds"]) for call in calls))]
    if size > 1:
        rows.append(("  faces/s", *(f"{call['faces_per_second']:,.0f}" for call in calls)))
    if any("torch_times_as_long" in call for call in calls):
        cells = [call.get("torch_times_as_long") for call in calls]
        shown = ("-" if cell is None else f"{cell:.1f} times as long" for cell in cells)
        rows.append(("  torch eager, fp32", *shown))
    return rows


def _threads(number: int) -> str:
    return counted(number, "thread")


def _milliseconds(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _faces(frame: Mapping[str, Any]) -> str:
    number = frame["faces_per_frame"]
    return f"{number:.3g} {'face' if number == 1 else 'faces'}"


def _accuracy_label(models: Sequence[Mapping[str, Any]]) -> str:
    images = {(entry["images"], entry["n"]) for model in models if (entry := model["accuracy"])}
    if len(images) != 1:
        return "accuracy"
    name, number = next(iter(images))
    return f"accuracy on {name}, n = {number:,}"


def _accuracy(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return _UNKNOWN
    return with_interval(entry["value"], entry.get("low"), entry.get("high"), points, " %")


def notes(result: Mapping[str, Any]) -> list[str]:
    """Return what a reader of the table has to know."""
    machine, accuracies = result["machine"], [model["accuracy"] for model in result["models"]]
    cores = counted(machine["cores"], "core")
    where = f"{machine['processor']}, {cores}, {machine['system']}; {machine['runtime']}"
    lines = [f"{where}. Medians; all models took turns."]
    if any(call["clock"] == "cpu" for model in result["models"] for call in model["calls"]):
        lines.append("With one thread: CPU time, which other processes hardly change.")
    if any(map(_is_selected, accuracies)):
        which = [model["name"] for model in result["models"] if _is_selected(model["accuracy"])]
        who = "" if len(which) == len(accuracies) else f" of {', '.join(which)}"
        lines.append(f"Accuracy{who}: validation, selection split (optimistic bias).")
    if len({(entry["images"], entry["n"]) for entry in accuracies if entry}) > 1:
        lines.append("The accuracies are of different images: they are not comparable.")
    if any(model["frame"]["faces_per_frame"] == 0 for model in result["models"]):
        lines.append("The detector found no face in the frames, so the model was not called.")
    if (result["waited"] or 0) > _MAX_WAIT:
        lines.append(
            f"WARNING: other processes used the cores: threads waited {result['waited']:.0%} of the time. "
            "Other times than CPU time are not those of an idle machine. Stop the others and measure again."
        )
    return lines


def _is_selected(accuracy: Mapping[str, Any] | None) -> bool:
    return bool(accuracy and accuracy["selection_split"])


def markdown_table(rows: Sequence[Row]) -> str:
    """Return the rows as a table in Markdown."""
    header, *others = rows
    lines = [header, ("---",) * len(header), *((label.strip(), *cells) for label, *cells in others)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def check_accuracies(known: Sequence[object]) -> None:
    """Check that a plot has a point: that at least one accuracy is known.

    Raises:
        FerError: None is.
    """
    if not any(known):
        raise FerError(
            "--plot: expected a model whose card has its accuracy, got none. Measure it with --data, or omit "
            "--plot."
        )


def save_plot(result: Mapping[str, Any], path: Path) -> None:
    """Write a plot of accuracy against the speed of one face at a time.

    Raises:
        FerError: No accuracy is known, matplotlib is not installed, or the file cannot be written.
    """
    known = [model for model in result["models"] if model["accuracy"]]
    check_accuracies(known)
    try:
        from fer.analysis.plots.comparison import SpeedPoint, plot_speed
    except ModuleNotFoundError as error:
        raise FerError(
            "--plot: expected matplotlib to be installed, but it is not. Install it with pip install "
            "'fer-lightning[train]', or omit --plot."
        ) from error
    points = [_point(SpeedPoint, model) for model in known]
    call = known[0]["calls"][0]
    speed = f"faces/s, one at a time, {_threads(call['threads'])}"
    figure = plot_speed(points, (speed, f"{_accuracy_label(known)}, %"), "accuracy and speed")
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise FerError(
            f"{path}: expected a file that can be written, such as speed.svg, got {error}."
        ) from error


def _point(make: Callable[..., Any], model: Mapping[str, Any]) -> Any:
    accuracy = model["accuracy"]
    limits = (accuracy.get(key) for key in ("low", "high"))
    low, high = (accuracy["value"] if limit is None else limit for limit in limits)
    values = (100 * number for number in (accuracy["value"], low, high))
    return make(model["name"], *values, model["calls"][0]["faces_per_second"])
