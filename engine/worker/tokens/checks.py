"""The token stores that a scan made: are they still there, and do they fit the model?"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.artifacts.scan import StoreFolders
from engine.corpus.files.seals import find_damage, hold_folder
from engine.errors import InputError
from engine.worker.model import base as models
from engine.worker.tokens.store import TokenStore


def stores_exist(folders: StoreFolders) -> bool:
    """Whether the token cache still holds what a scan wrote, as it wrote it.

    A user may have cleared it, and a disk may have damaged it.
    """
    return all(
        Path(folder).is_dir() and not find_damage(Path(folder))
        for folder in (folders.domain, folders.generic)
    )


def open_stores(folders: StoreFolders) -> tuple[TokenStore, TokenStore]:
    """The token stores of the domain text and of the generic text."""
    domain, generic = Path(folders.domain), Path(folders.generic)
    hold_folder(domain)
    hold_folder(generic)
    return TokenStore(domain), TokenStore(generic)


def check_ids(store: TokenStore, base: models.Base) -> None:
    """InputError where a text has token ids that the model has no embedding for."""
    path, known = store.folder / "tokens.bin", models.text_config(base.config).vocab_size
    ids = np.memmap(path, store.meta["dtype"], "r") if path.stat().st_size else np.zeros(1)
    largest = max(int(ids.max()), base.eos)
    if largest >= known:
        raise InputError(
            f"{base.name}: its tokenizer makes token {largest} of {store.meta['source']}, but the "
            f"model has {known:,} embeddings; put the model's own tokenizer into its folder"
        )
