"""Push a bundle to the Hugging Face Hub, in one commit: all of its files arrive, or none."""

import json
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer.bundle.card import Card, model_name
from fer.bundle.files import CARD, MODEL, README, Bundle
from fer.bundle.hub_card import LIBRARY, LICENSE, OTHER, hub_readme, licence_text
from fer.core.errors import FerError
from fer.core.hub import HubReference, hub_api, hub_errors

if TYPE_CHECKING:
    from huggingface_hub import HfApi

WEIGHTS, CONFIG = "model.safetensors", "config.json"
# All files that a push may write. Those of an earlier push that a model does not have are deleted.
_FILES = (MODEL, CARD, README, LICENSE, CONFIG, WEIGHTS)
# Made by the Hub itself.
_OF_THE_HUB = (".gitattributes", README)
_SHOWN = 3
# One JSON line per push, in the folder of the registry.
RECORD = "hub.jsonl"


@dataclass(frozen=True)
class Push:
    """A finished push.

    Attributes:
        reference: ``hf:owner/name@commit``.
        files: Names of the files of the model.
        weights_missing: Why the weights are not among them; empty if they are.
    """

    reference: HubReference
    files: tuple[str, ...]
    weights_missing: str


def push_bundle(
    bundle: Bundle,
    reference: HubReference,
    run: Path | None = None,
    private: bool = False,
    licence: str = OTHER,
) -> Push:
    """Push a bundle as a model of the Hub.

    Args:
        bundle: The bundle.
        reference: ``owner/name``; the repository is created if there is none.
        run: Run folder of its training, for the weights; None: the folder that the bundle is in.
        private: Whether a new repository can be seen by its owner only.
        licence: As for `fer.bundle.hub_card.hub_readme`.

    Raises:
        FerError: There is no login, no permission or no connection; the repository has files of others; or
            ``run`` has other weights.
    """
    if reference.revision is not None:
        raise FerError(
            f"{reference}: expected hf:owner/name without a revision, as a push makes a new one. Omit "
            f"@{reference.revision}."
        )
    api = hub_api(reference)
    _check_login(reference)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        missing = _write_files(folder, bundle, reference, run, licence)
        commit = _upload(api, folder, bundle.card, reference, private)
    files = tuple(name for name in _FILES if name != WEIGHTS or not missing)
    return Push(HubReference(reference.repo, commit), files, missing)


def record_push(registry: Path, bundle: Bundle, reference: HubReference) -> None:
    """Append a push to `RECORD` in the folder of a registry: model, commit and hash."""
    entry = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": model_name(bundle.card),
        "pushed": str(reference),
        "sha256": bundle.card.model["sha256"],
    }
    try:
        registry.mkdir(parents=True, exist_ok=True)
        with (registry / RECORD).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
    except OSError as error:
        raise FerError(
            f"{registry / RECORD}: the model was pushed as {reference}, but this cannot be recorded "
            f"({error.strerror}). Note it, or choose another --registry."
        ) from error


def _check_login(reference: HubReference) -> None:
    from huggingface_hub import get_token

    if get_token() is None:
        raise FerError(
            f"{reference}: expected a login on the Hub, got none. Log in with hf auth login, or set HF_TOKEN."
        )


def _write_files(
    folder: Path, bundle: Bundle, reference: HubReference, run: Path | None, licence: str
) -> str:
    """Write all files to push; return why there are no weights, or an empty text."""
    card = bundle.card
    (folder / README).write_text(hub_readme(card, reference, licence), encoding="utf-8")
    (folder / LICENSE).write_text(licence_text(card), encoding="utf-8")
    for name in (MODEL, CARD):
        shutil.copyfile(bundle.folder / name, folder / name)
    return _write_weights(folder, bundle, run)


def _write_weights(folder: Path, bundle: Bundle, run: Path | None) -> str:
    """Write the config and, if the checkpoint is found, the weights; return why not, or an empty text."""
    config = _config(bundle.card)
    _write_json(folder / CONFIG, config)
    source = run or bundle.folder.absolute().parent
    checkpoint = source if source.suffix == ".ckpt" else source / "checkpoints" / "best.ckpt"
    if bundle.card.training.get("members"):
        return "an ensemble has no single file of weights"
    if not checkpoint.is_file():
        if run is not None:
            raise FerError(
                f"--run {run}: expected the folder of a run, got one without checkpoints/best.ckpt."
            )
        return "the checkpoint is not beside the bundle; --run RUN names its run"
    # Here, because it loads torch, which a bundle does not need.
    from fer.models.checkpoint import hash_model, load_checkpoint, read_content
    from fer.models.weights_file import NETWORK_KEYS, write_weights

    found = hash_model(load_checkpoint(checkpoint).model)
    if found != bundle.card.training.get("weights_sha256"):
        if run is not None:
            raise FerError(
                f"{checkpoint}: expected the weights of {model_name(bundle.card)}, got those of another "
                "model. Name the run that it was exported from."
            )
        return f"{checkpoint} has other weights than the bundle"
    content = read_content(checkpoint)
    config["checkpoint"]["hyper_parameters"] |= {
        key: content["hyper_parameters"][key] for key in NETWORK_KEYS if key in content["hyper_parameters"]
    }
    write_weights(folder, content, config)
    return ""


def _config(card: Card) -> dict[str, Any]:
    """Return the content of `config.json`: what other tools read, and what rebuilds the network."""
    names, training = card.labels.names, card.training
    return {
        "library_name": LIBRARY,
        "architectures": [card.model["architecture"]],
        "num_labels": len(names),
        "id2label": {str(number): name for number, name in enumerate(names)},
        "label2id": {name: number for number, name in enumerate(names)},
        "image_size": card.image_size,
        "checkpoint": {
            # Counted from 0 in checkpoints.
            "epoch": training.get("epoch", 1) - 1,
            "hyper_parameters": {
                "config": training.get("recipe", {}),
                "labels": {"name": card.labels.name, "names": list(names)},
                "manifest": training.get("manifest") or {"splits": {}},
                "init_from": training.get("init_from"),
                "teachers": training.get("teachers") or [],
            },
        },
    }


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _upload(api: "HfApi", folder: Path, card: Card, reference: HubReference, private: bool) -> str:
    """Create the repository if there is none, and commit all files at once; return the commit."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    names = sorted(path.name for path in folder.iterdir())
    with hub_errors(reference):
        api.create_repo(reference.repo, private=private or None, exist_ok=True)
        info = api.model_info(reference.repo)
    if private and not info.private:
        raise FerError(
            f"--private: expected a new or private repository, got {reference}, which everybody can read. "
            "Make it private on its page, or omit --private."
        )
    present = {file.rfilename for file in info.siblings or ()}
    _check_own(reference, present)
    operations = [CommitOperationAdd(name, folder / name) for name in names]
    deleted = [CommitOperationDelete(name) for name in _FILES if name in present and name not in names]
    with hub_errors(reference):
        # With its parent, so that two pushes at once do not mix.
        commit = api.create_commit(
            reference.repo,
            [*operations, *deleted],
            commit_message=f"Push {model_name(card)}",
            parent_commit=info.sha,
        )
    return str(commit.oid)


def _check_own(reference: HubReference, present: Iterable[str]) -> None:
    """Check that a repository is new, or has a model of an earlier push."""
    files = set(present)
    others = sorted(files - {*_FILES, *_OF_THE_HUB})
    if CARD not in files and others:
        raise FerError(
            f"{reference}: expected a new repository or one of an earlier push, got one with "
            f"{', '.join(others[:_SHOWN])}. Choose another name."
        )
