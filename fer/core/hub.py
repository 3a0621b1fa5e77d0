"""Files of the Hugging Face Hub by the name of a model, ``hf:owner/name[@revision]``, and clear errors.

Downloads go to the cache of huggingface-hub (``HF_HOME``), where they are found again without a connection.
``HF_ENDPOINT`` is the address of another server, ``HF_TOKEN`` the login.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fer.core.errors import FerError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

PREFIX = "hf:"
# Revision of a name without one. It moves with each push.
MAIN = "main"
_REFERENCE = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+?)(?:@(?P<revision>[^@\s]+))?", re.ASCII)
# Seconds in which the Hub has to answer.
_TIMEOUT = 10.0
# Names of the errors of a connection that cannot be opened: they are of the HTTP client, whichever it is.
_NOT_CONNECTED = ("ConnectError", "ConnectTimeout", "ConnectionRefusedError", "gaierror")
_LOGIN = "log in with hf auth login, or set HF_TOKEN"


@dataclass(frozen=True)
class HubReference:
    """A model on the Hub.

    Attributes:
        repo: ``owner/name``.
        revision: A branch, tag or commit; None: the newest commit.
    """

    repo: str
    revision: str | None = None

    def __str__(self) -> str:
        """Return ``hf:owner/name@revision``."""
        return f"{PREFIX}{self.repo}" + (f"@{self.revision}" if self.revision else "")


def is_on_hub(name: object) -> bool:
    """Return whether a name is meant to be of the Hub: it starts with ``hf:``."""
    return isinstance(name, str) and name.startswith(PREFIX)


def parse_reference(text: str) -> HubReference:
    """Return the reference of ``hf:owner/name[@revision]``.

    Raises:
        FerError: It is not of this form.
    """
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise FerError(f"{text[:200]}: expected hf:owner/name or hf:owner/name@revision. Correct it.")
    return HubReference(match["repo"], match["revision"])


def hub_api(reference: object) -> "HfApi":
    """Return the API of huggingface-hub, at the address ``HF_ENDPOINT``.

    Raises:
        FerError: It is not installed; the message starts with ``reference``.
    """
    try:
        from huggingface_hub import HfApi, constants
    except ModuleNotFoundError as error:
        raise FerError(
            f"{reference}: expected the package huggingface-hub, which is not installed ({error.name}). "
            "Install it with pip install 'fer-lightning[hub]'."
        ) from error
    endpoint = os.environ.get("HF_ENDPOINT") or None
    if endpoint is not None:
        # Xet is the storage of the Hub itself. A server that lacks it would be asked for minutes.
        constants.HF_HUB_DISABLE_XET = True
    return HfApi(endpoint=endpoint, library_name="fer-lightning")


def download(reference: HubReference, files: Sequence[str]) -> Path:
    """Download files of one commit, or find them in the cache, and return their folder.

    Its name is the commit, 40 hexadecimal digits. Without a connection, a branch or tag is the commit that it
    was when it was last loaded.

    Raises:
        FerError: There is no such model, revision or file, no permission, or neither a connection nor a copy.
    """
    api = hub_api(reference)
    from huggingface_hub import try_to_load_from_cache

    revision, folder = reference.revision, Path()
    for name in files:
        with hub_errors(reference, name):
            if try_to_load_from_cache(reference.repo, name, revision=revision) is None:
                # Without a connection, a download of what is not in the cache waits for 20 s.
                api.model_info(reference.repo, revision=revision, timeout=_TIMEOUT)
            path = api.hf_hub_download(reference.repo, name, revision=revision)
        folder = Path(path).parent
        # The others are of the same commit, also if the branch moves meanwhile.
        revision = folder.name
    return folder


@contextmanager
def hub_errors(reference: HubReference, file: str | None = None) -> Iterator[None]:
    """Turn errors of the Hub and of the connection into a `FerError` that says what to do.

    Args:
        reference: The model, with which the message starts.
        file: The file that is asked for.
    """
    try:
        yield
    except FerError:
        raise
    # Errors of huggingface-hub, of its HTTP client and of its upload have no common base class.
    except Exception as error:
        raise FerError(f"{reference}: {_explanation(error, reference, file)}") from error


def _explanation(error: Exception, reference: HubReference, file: str | None) -> str:
    from huggingface_hub import errors

    if isinstance(error, errors.HFValidationError):
        return f"expected a name that the Hub allows ({_first_line(error)}). Correct it."
    if isinstance(error, errors.GatedRepoError):
        return f"its owner grants access on request. Ask on the page of the model, then {_LOGIN}."
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            "expected a model on the Hub, got none of this name that you may use. Check the name; if it is "
            f"private, {_LOGIN}."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"expected a branch, tag or commit of this model, got {reference.revision!r}. Correct it."
    if isinstance(error, errors.EntryNotFoundError) and not isinstance(error, FileNotFoundError):
        return f"expected a model of fer-models push, got one without {file}. Choose another."
    if (response := _response(error)) is not None:
        return _http_explanation(response)
    is_offline = isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled)
    if is_offline or type(_root(error)).__name__ in _NOT_CONNECTED:
        reason = _first_line(_root(error))
        if file is None:
            return f"expected a connection to the Hub, got none ({reason}). Connect, and try again."
        return (
            f"expected a connection to the Hub or a copy in its cache, got neither ({reason}). Connect, or "
            "use a model that was loaded before."
        )
    return f"the connection to the Hub failed ({_first_line(_root(error))}). Try again."


def _http_explanation(response: tuple[int, str]) -> str:
    """Return what an answer of the Hub means: its status and its message."""
    status, message = response
    meaning = {
        401: f"the Hub does not accept your token (401). Renew it: {_LOGIN}.",
        403: f"your token does not allow this (403). Use one that does: {_LOGIN}.",
        412: "somebody else has pushed to it meanwhile (412). Try again.",
        429: "the Hub allows no more requests at present (429). Try again later.",
    }
    return meaning.get(status, f"the Hub answered with status {status}{message}. Try again later.")


def _response(error: BaseException | None) -> tuple[int, str] | None:
    """Return status and message of the answer that an error, or one of its causes, is about."""
    while error is not None:
        response = getattr(error, "response", None)
        if response is not None and hasattr(response, "status_code"):
            message = getattr(error, "server_message", None)
            return int(response.status_code), f" ({_first_line(message)})" if message else ""
        error = error.__cause__
    return None


def _root(error: BaseException) -> BaseException:
    """Return the first cause of an error."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _first_line(error: object) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].strip().rstrip(".")[:200]
