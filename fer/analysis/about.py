"""What predictions are of: the run, the images and how they were scored. Stored with the predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

# Sequences, which JSON stores as lists
_SEQUENCES = ("teachers", "test_marks", "absent", "changed")
# Stored only where they have a value
_OPTIONAL = ("teachers", "member_runs", "members", "recorded", "exported", "spec", "faces")


@dataclass(frozen=True)
class About:
    """Facts about predictions. The field names, in this order, are keys of predictions.npz and metrics.json.

    Attributes:
        run: Name of the run.
        model: Name of the network.
        image_size: Side in pixels to which images are resized for the network.
        parameters: Number of parameters.
        checkpoint: Path of the checkpoint.
        epoch: Epoch of the weights, from 1; ``None`` for an ensemble.
        seed: Seed of the run; ``None`` if it has none, and for an ensemble.
        model_sha256: Hash of the weights.
        recipe_sha256: Hash of the config without the seed.
        trained_on: Manifest of the data set that the run was trained on.
        init_from: Source of the run's initial weights; ``None`` if random.
        teachers: Models that the run learned from, besides the labels.
        tta: Test-time augmentation; ``None`` without.
        temperature: Temperature of the calibration; ``None`` if not calibrated.
        created: Time of scoring, ISO 8601 in UTC.
        data: Path of the images, or a name.
        split: Published name of the split, e.g. ``PublicTest``.
        role: ``train``, ``val``, ``test`` or ``all``.
        has_test: Whether there are test images among them.
        test_images: Content hash of these test images; ``None`` if it is unknown or there are none.
        test_marks: Sketch of these test images; see `fer.data.sketch.make_sketch`.
        manifest: Counts and hashes of the images.
        left_out: Reason -> number of images left out for it.
        absent: Emotions of the model without an image.
        other_data: Whether the data set is not the one of the run.
        changed: Roles of the run's data set whose images or labels changed since training.
        seen: For ``train`` and ``val``, the number of images with the same pixels as an image of that split;
            ``None`` if unknown.
        seconds: Duration of inference.
        member_runs: Names of the members of an ensemble.
        members: Facts about each member of an ensemble.
        recorded: Accuracy recorded in training (``then``) and measured (``now``), if they differ.
        exported: What is known of an exported file; ``None`` for a checkpoint.
        spec: How a foreign ONNX file was run; ``None`` for a model of this package.
        faces: What a face detector found in photographs: ``detector``, ``photographs``, ``missed``,
            ``several``, ``turned``, ``hashes`` of the faces; ``None`` for images of faces.
    """

    run: str = ""
    model: str = ""
    image_size: int = 0
    parameters: int = 0
    checkpoint: str = ""
    epoch: int | None = None
    seed: int | None = None
    model_sha256: str = ""
    recipe_sha256: str = ""
    trained_on: Mapping[str, Any] = field(default_factory=dict)
    init_from: Mapping[str, Any] | None = None
    teachers: Sequence[Mapping[str, Any]] = ()
    tta: str | None = None
    temperature: float | None = None
    created: str = ""
    data: str = ""
    split: str = ""
    role: str = ""
    has_test: bool = False
    test_images: str | None = None
    test_marks: tuple[str, ...] = ()
    manifest: Mapping[str, Any] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    other_data: bool = False
    changed: tuple[str, ...] = ()
    seen: Mapping[str, int | None] = field(default_factory=dict)
    seconds: float | None = None
    member_runs: str | None = None
    members: tuple["About", ...] = ()
    recorded: Mapping[str, float] | None = None
    exported: Mapping[str, str] | None = None
    spec: Mapping[str, str] | None = None
    faces: Mapping[str, Any] | None = None

    @property
    def is_foreign(self) -> bool:
        """Whether the model, or a member of the ensemble, is a file whose training is not known."""
        return self.spec is not None or any(member.is_foreign for member in self.members)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Return the facts stored by `to_dict`. Keys of other versions are ignored, or have the default."""
        known = {one.name: content[one.name] for one in fields(cls) if content.get(one.name) is not None}
        known |= {name: tuple(known[name]) for name in _SEQUENCES if name in known}
        known["members"] = tuple(cls.from_dict(member) for member in known.get("members", ()))
        return cls(**known)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        values |= {name: list(values[name]) for name in _SEQUENCES}
        values["members"] = [member.to_dict() for member in self.members]
        return {name: value for name, value in values.items() if value or name not in _OPTIONAL}
