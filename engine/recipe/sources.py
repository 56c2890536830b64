"""A side's text: ``[corpus]`` and ``[generic]``, of one source or, as ``[[generic]]``, of several.

Several tables of one side are read into one ``Source``: the first, with the others in ``also``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from engine.recipe.base import Positive, Section

SIDES = ("corpus", "generic")
FAMILY = "family"
"""As ``path`` of ``[generic]``: the sources of the base's family."""
HUB = "hub:"
"""Begins the path of a hub data set."""
_URL = re.compile(r"(?P<scheme>s3|gs|https?|memory)://(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_SIGNED = re.compile(r"[?&](?:x-(?:amz|goog)-|sig=|signature=|token=|key=|access)", re.IGNORECASE)
"""In the query of a link that carries its own permission: a recipe holds no secret."""
MOST_SOURCES = 20
"""Of one side; as many tables as anybody writes by hand."""
SIDE_KEYS = (
    "heldout_share",
    "keep_near_duplicates",
    "why_keep_near_duplicates",
    "keep_exact_copies",
    "drop_shared_lines",
    "mask_contacts",
)
"""Keys that speak of a side as a whole: the split, and what repeats across its sources."""
ROUNDING = 1e-6
PINS = ("revision", "sha256")
_WAYS = ("config", "split", "take_tokens", "max_documents")
"""Keys that decide what is fetched."""


class Source(Section):
    """A text source: ``[corpus]`` or ``[generic]``, or one of several ``[[generic]]``."""

    path: str = Field(
        min_length=1,
        description="file, folder, glob, hub:owner/name, or an https://, s3:// or gs:// address; "
        "[generic] also 'embedded', or 'family' = what the base's family was trained on",
    )
    text_column: str | None = Field(None, description="column of text; found when left out")
    split: str = Field("train", description="split of a hub data set")
    config: str | None = Field(None, description="configuration of a hub data set")
    revision: str | None = Field(
        None, description="commit or tag of a hub data set; a replay takes it from the run's lock"
    )
    sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="of what was fetched; another text is refused; a replay takes it from the lock",
    )
    take_tokens: Positive | None = Field(
        None, description="take about so many tokens from the beginning, at five bytes each"
    )
    share: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="share of the side's training tokens, where it has several sources"
    )
    heldout_share: Annotated[float, Field(gt=0, le=0.5)] = Field(
        0.05, description="share of documents held out, by document hash"
    )
    max_documents: Positive | None = Field(None, description="read no more than this")
    encoding: str | None = Field(
        None, description="encoding of files that are no UTF-8, as in iconv; found when left out"
    )
    keep_companions: bool = Field(
        False, description="read README, LICENSE, logs and their like beside the texts too"
    )
    repair_mojibake: bool = Field(False, description="repair wrongly decoded text (ftfy)")
    keep_near_duplicates: bool = Field(False, description="train on near-duplicates too")
    why_keep_near_duplicates: str = Field("", description="required to keep near-duplicates")
    keep_exact_copies: bool = Field(
        False, description="and on exact copies; needs keep_near_duplicates and its why"
    )
    drop_shared_lines: bool = Field(
        False, description="train on a line that many documents share only where it comes first"
    )
    mask_contacts: bool = Field(
        False, description="replace e-mail and public IP addresses by reserved ones"
    )
    also: tuple[Source, ...] = Field(
        (),
        max_length=MOST_SOURCES - 1,
        description="the side's other sources; written as [[corpus]] or [[generic]] tables",
    )

    @property
    def parts(self) -> tuple[Source, ...]:
        """Every source of the side, this one first and without the others."""
        return (self.model_copy(update={"also": ()}), *self.also) if self.also else (self,)

    @property
    def shares(self) -> list[float] | None:
        """The tokens' shares by source; None where each gives what it has."""
        found = [part.share for part in self.parts if part.share is not None]
        return found if self.also and found else None

    @property
    def handling(self) -> list[float | bool]:
        """What is done with the texts once they are read: part of every fingerprint of them."""
        kept = [self.keep_near_duplicates, self.keep_exact_copies]
        return [self.heldout_share, *kept, self.drop_shared_lines, self.mask_contacts]

    @property
    def is_hub(self) -> bool:
        return self.path.startswith(HUB)

    @property
    def is_remote(self) -> bool:
        """Whether it is fetched before it is read."""
        return self.is_hub or is_url(self.path)

    @model_validator(mode="after")
    def _argued(self) -> Source:
        if self.keep_near_duplicates and not self.why_keep_near_duplicates:
            raise ValueError("keep_near_duplicates = true needs a why_keep_near_duplicates")
        if self.keep_exact_copies and not self.keep_near_duplicates:
            raise ValueError("keep_exact_copies = true needs keep_near_duplicates = true")
        if self.revision and not self.is_hub:
            raise ValueError("revision has no effect without a hub data set (hub:owner/name)")
        if self.sha256 and not self.is_remote:
            raise ValueError("sha256 has no effect on files of this machine, which are hashed anew")
        return self

    @model_validator(mode="before")
    @classmethod
    def _inherited(cls, values: object) -> object:
        """The other sources have the side's own keys from the first one."""
        others = _others(values)
        if not isinstance(values, Mapping) or not others:
            return values
        side = {key: values[key] for key in SIDE_KEYS if key in values}
        return {**values, "also": [{**side, **o} if isinstance(o, Mapping) else o for o in others]}

    @model_validator(mode="after")
    def _one_side(self) -> Source:
        if not self.also:
            return self
        given = [part.share for part in self.parts]
        shares = [share for share in given if share is not None]
        if shares and len(shares) < len(given):
            raise ValueError("give every source a share, or none of them")
        if shares and abs(sum(shares) - 1) > ROUNDING:
            raise ValueError(f"the shares of the sources sum to {sum(shares):g}; make it 1")
        for part in self.also:
            moved = [key for key in SIDE_KEYS if getattr(part, key) != getattr(self, key)]
            if part.also or moved:
                raise ValueError(f"{moved[0] if moved else 'also'} belongs into the first table")
        return self

    @field_validator("path")
    @classmethod
    def _without_secrets(cls, value: str) -> str:
        found = _URL.fullmatch(value)
        host = found["rest"].partition("/")[0] if found else ""
        if found and ("@" in host or _SIGNED.search(value)):
            raise ValueError(
                "an address with a login or a signature is refused, since recipes are handed on; "
                "download it and give the folder, or log in by the environment"
            )
        return value

    @field_validator("encoding")
    @classmethod
    def _decodes(cls, value: str | None) -> str | None:
        try:
            "a".encode(value or "utf-8")
        except (LookupError, ValueError):
            raise ValueError(f"unknown encoding {value!r}; write it as in iconv -l") from None
        return value


def is_url(path: str) -> bool:
    """Whether a path is an address that is fetched through fsspec."""
    return _URL.fullmatch(path) is not None


def from_tables(values: object) -> object:
    """Recipe values with the tables of a side, as ``[[generic]]`` gives them, as one source."""
    if not isinstance(values, Mapping):
        return values
    found = dict(values)
    for side in SIDES:
        tables = found.get(side)
        if isinstance(tables, list) and tables and isinstance(tables[0], Mapping):
            found[side] = {**tables[0], "also": tables[1:]} if tables[1:] else tables[0]
    return found


def as_tables(values: MutableMapping[str, object]) -> None:
    """The way back: a side of several sources as the list of its tables."""
    for side in SIDES:
        source = values.get(side)
        if isinstance(source, dict) and source.get("also"):
            first = {key: value for key, value in source.items() if key != "also"}
            values[side] = [first, *source["also"]]


def pin_fetched(values: MutableMapping[str, object]) -> None:
    """Pin each source to the commit and the hash that a run has fetched it at (its lock).

    What the recipe itself pins stands.
    """
    lock = values.get("provenance")
    fetched = lock.get("fetched") if isinstance(lock, Mapping) else None
    if not isinstance(fetched, Mapping):
        return
    for side in SIDES:
        for one in tables_of(values.get(side)):
            pins = fetched.get(lock_name(one))
            if isinstance(pins, Mapping) and not one.get("revision") and not one.get("sha256"):
                one.update({key: pins[key] for key in PINS if pins.get(key)})


def tables_of(side: object) -> list[dict[str, Any]]:
    """The table of a side, or all of them where it has several sources."""
    found = side if isinstance(side, list) else [side, *_others(side)]
    return [one for one in found if isinstance(one, dict)]


def _others(source: object) -> Sequence[object]:
    found = source.get("also") if isinstance(source, Mapping) else None
    return found if isinstance(found, list | tuple) else ()


def lock_name(source: Mapping[str, object]) -> str:
    """What a lock calls a source: one path may be read in several ways."""
    ways = [str(source[key]) for key in _WAYS if source.get(key)]
    return " ".join([str(source.get("path")), *(way for way in ways if way != "train")])


_PATH_KEYS = (
    ("model", "id"),
    ("corpus", "path"),
    ("generic", "path"),
    ("arms", "control", "path"),
    ("vocab", "first_run"),
)
_FILE_KEYS = tuple(("gate", key) for key in ("gold", "sft", "lm_eval_path", "chat_heldout"))
ELSEWHERE = ("hub:", "demo:", "lm-eval:")
"""Beginnings of values that are no path."""
WORDS = ("embedded", FAMILY)
"""Values of ``[generic] path`` that are none either."""


def is_local(value: str) -> bool:
    """Whether a value that may name a file does."""
    return value not in WORDS and not value.startswith(ELSEWHERE) and not is_url(value)


def held_paths(
    values: Mapping[str, Any],
) -> Iterator[tuple[tuple[str, ...], dict[str, Any], object]]:
    """(key, table, value) of everything in a recipe's values that may be a path."""
    for *sections, name in _PATH_KEYS + _FILE_KEYS:
        table: object = values
        for section in sections:
            table = table.get(section) if isinstance(table, Mapping) else None
        for at, one in enumerate(tables_of(table), 1):
            if name in one:
                yield (*sections, *([str(at)] if at > 1 else []), name), one, one[name]
