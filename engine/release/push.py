"""Push a finished export to the hub: a private repository, the token from the environment only."""

from __future__ import annotations

import os
from pathlib import Path

from engine.corpus.hub import problem
from engine.errors import InputError
from engine.redaction import VARIABLES


def token() -> str:
    """The hub's token. InputError where the environment has none: no file is looked into."""
    found = next((os.environ[name] for name in VARIABLES if os.environ.get(name)), "")
    if not found:
        raise InputError("--push needs a token that may write: set HF_TOKEN in the environment")
    return found


def check(repo: str) -> None:
    """What can be refused before any work: the name, the token, being offline. InputError."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError:
        raise InputError(f"--push {repo}: no name of the hub; write OWNER/NAME") from None
    if "/" not in repo:
        raise InputError(f"--push {repo}: whose? write OWNER/NAME")
    token()
    if constants.is_offline_mode():
        raise InputError("--push needs the network and HF_HUB_OFFLINE is set; unset it")


def push(folder: Path, repo: str) -> str:
    """Let the hub check the card, make the repository (private), upload; returns its address.

    InputError in one sentence where the hub refuses or cannot be reached; the folder stays.
    """
    from huggingface_hub import HfApi, ModelCard

    check(repo)
    api = HfApi(token=token())
    try:
        ModelCard.load(folder / "README.md").validate()
        api.create_repo(repo, private=True, exist_ok=True)
        api.upload_folder(repo_id=repo, folder_path=folder, commit_message="Export by cpt")
    except Exception as error:
        raise InputError(
            f"{folder} was exported, but not pushed to {repo}: {problem(error)}"
        ) from None
    return f"{api.endpoint}/{repo}"
