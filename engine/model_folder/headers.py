"""Which tensors a model folder holds: from safetensors headers and the index, no weights read.

The format: 8 bytes with the header's length (little endian), the header as JSON, then the data;
each tensor's offsets are counted from the end of the header.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from engine.errors import InputError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
ITEM_BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
}
LARGEST_HEADER = 100_000_000
"""Bytes: the limit of the safetensors library itself."""
SHOWN = 3
"""Names given in a sentence."""


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of a safetensors file, as its header describes it."""

    dtype: str
    shape: tuple[int, ...]
    path: Path

    @property
    def size(self) -> int:
        """Numbers in it."""
        return math.prod(self.shape)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that transformers would load. InputError where they are not all there.

    ``model.safetensors`` goes before an index, as in transformers.
    """
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    if not (folder / INDEX).is_file():
        raise InputError(
            f"{folder}: its .safetensors files are neither {SINGLE} nor listed in {INDEX}; "
            "download the model again, with its index"
        )
    names = sorted(set(weight_map(folder).values()))
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise InputError(
            f"{folder}: {len(missing)} of {len(names)} weight files that its index names are "
            f"missing ({shown_names(missing)}); download the model again"
        )
    return [folder / name for name in names]


def weight_map(folder: Path) -> dict[str, str]:
    """The index's file of each tensor. InputError where it is broken or leaves the folder."""
    path = folder / INDEX
    found = read_json(path).get("weight_map")
    if not isinstance(found, dict) or not found:
        raise InputError(f"{path}: has no weight_map; download the model again")
    for name in {str(name) for name in found.values()}:
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or "\\" in name or _leads_out(folder, name):
            raise InputError(
                f"{path}: names {name!r}, a file outside the model's folder; take the model from "
                "where it was published"
            )
    return {str(tensor): str(name) for tensor, name in found.items()}


def _leads_out(folder: Path, name: str) -> bool:
    """Whether a name is a link out of the folder; the hub's cache links to its own blobs."""
    try:
        real, own = (folder / name).resolve(), folder.resolve()
    except (OSError, ValueError, RuntimeError):
        return True
    if own.parent.name == "snapshots" and real.is_relative_to(own.parent.parent / "blobs"):
        return False
    return not real.is_relative_to(own)


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Every tensor by its name. InputError where a file is cut off, or the index is not true."""
    found: dict[str, StoredTensor] = {}
    files = weight_files(folder)
    for path in files:
        found.update(read_header(path))
    if files != [folder / SINGLE]:
        lost = sorted(set(weight_map(folder)) - set(found))
        if lost:
            raise InputError(
                f"{folder}: {len(lost)} tensors that its index names are not in the files "
                f"({shown_names(lost)}); download the model again"
            )
    if not found:
        raise InputError(f"{folder}: its .safetensors files hold no tensor; download it again")
    return found


def read_header(path: Path) -> dict[str, StoredTensor]:
    """The tensors of one file. InputError where it is cut off or not a safetensors file."""
    size = path.stat().st_size
    try:
        with path.open("rb") as handle:
            (length,) = struct.unpack("<Q", handle.read(8))
            if length > LARGEST_HEADER:
                raise ValueError("no header")
            raw = handle.read(length)
        if len(raw) < length:
            raise InputError(_cut(path, size, 8 + length))
        header = json.loads(raw)
        header.pop("__metadata__", None)
        entries = sorted(
            (*_span(entry), str(name), _tensor(entry, path)) for name, entry in header.items()
        )
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); change its mode") from None
    except (ValueError, KeyError, TypeError, AttributeError, struct.error, RecursionError):
        raise InputError(
            f"{path}: not a safetensors file ({size:,} bytes); download it again"
        ) from None
    end = 0
    for begin, stop, name, tensor in entries:
        bits = ITEM_BITS.get(tensor.dtype)
        if begin != end or (bits is not None and (stop - begin) * 8 != tensor.size * bits):
            raise InputError(
                f"{path}: its header gives {name} {stop - begin:,} bytes at {begin:,}, which does "
                "not fit its shape and neighbours; download it again"
            )
        end = stop
    if 8 + length + end != size:
        raise InputError(_cut(path, size, 8 + length + end))
    return {name: tensor for *_, name, tensor in entries}


def _span(entry: dict[str, list[int]]) -> tuple[int, int]:
    begin, stop = entry["data_offsets"]
    return _count(begin), _count(stop)


def _tensor(entry: dict[str, object], path: Path) -> StoredTensor:
    shape = entry["shape"]
    if not isinstance(shape, list):
        raise ValueError("no shape")
    return StoredTensor(str(entry["dtype"]), tuple(_count(side) for side in shape), path)


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("no count")
    return value


def _cut(path: Path, size: int, whole: int) -> str:
    what = "cut off" if size < whole else "longer than its header says"
    return f"{path}: {what}, {size:,} bytes of {whole:,}; download it again"


def read_json(path: Path) -> dict[str, object]:
    """A JSON object. InputError where the file holds none."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        raise InputError(f"{path}: not valid JSON; download the model again") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: not a JSON object; download the model again")
    return found


def shown_names(names: list[str]) -> str:
    """``first: a, b, c`` of a list of names."""
    return f"first: {', '.join(name[:120] for name in names[:SHOWN])}"
