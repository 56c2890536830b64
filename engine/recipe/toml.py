"""Recipe <-> TOML: every fault at once with key and line; comments and order survive."""

from __future__ import annotations

import os
import re
import tomllib
from collections import Counter
from collections.abc import Mapping, MutableMapping
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import tomlkit
from pydantic import BaseModel, ValidationError

from engine.errors import InputError
from engine.files import write_atomic
from engine.recipe.generic_families import name_family
from engine.recipe.seal import KEY, RESULTS, find_change, recipe_digest
from engine.recipe.sections import Recipe
from engine.recipe.sources import SIDES, as_tables, held_paths, is_local, pin_fetched
from engine.redaction import has_secret, masked

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MAX_BYTES = 1 << 20
"""A recipe is a page of text; a larger file is refused before it is parsed."""
DEPTH = 64
"""Levels of tables; a recipe has four, and what a run adds to it has fewer than ten."""
SHOWN_FAULTS = 20
"""Faults that are told; of a file that is no recipe they would fill screens."""
MAX_PATH, MAX_KEY, MAX_SENTENCE = 4095, 200, 1000
"""Bytes of a path (Linux), and characters of a key and of a fault that are shown."""
NO_PARENT = "'..' is not allowed in a recipe; use an absolute path, or --root DIR"
_LONG_KEY = re.compile(r"(?<![\w\"'-])(?:[\w\"'-]++[ \t]*+\.[ \t]*+){" + str(DEPTH) + "}")
"""Parsing takes the square of the parts of a key."""

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\[\]]+?)\s*\]")
_ANY_HEADER = re.compile(r"^\s*\[+\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(r"""^\s*["']?([A-Za-z0-9_.-]+)["']?\s*=""")

_NAMES = (("model", "id"), ("vocab", "first_run"))
"""Keys whose value may also be a name that is no path."""


def locate(text: str, key: tuple[str, ...]) -> int | None:
    """1-based line of a key in TOML text, or of its nearest written parent."""
    best: tuple[int, int] | None = None
    for here, number in _written_keys(text):
        shared = len(here)
        if here == key[:shared] and (best is None or shared > best[0]):
            best = (shared, number)
    return best[1] if best else None


@lru_cache(maxsize=1)
def _written_keys(text: str) -> list[tuple[tuple[str, ...], int]]:
    """Every table and key of a TOML text with its 1-based line."""
    table: tuple[str, ...] = ()
    found, entries = [], Counter[tuple[str, ...]]()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = tuple(part.strip().strip("\"'") for part in header[2].split("."))
            if header[1] == "[[":
                entries[table] += 1
                table = (*table, f"{entries[table]}")
            found.append((table, number))
        elif entry := _KEY.match(line):
            found.append((table + tuple(entry[1].split(".")), number))
    return found


def parse_toml(text: str, name: str) -> dict[str, object]:
    """Plain values of a TOML text; InputError with the line for broken TOML."""
    if _LONG_KEY.search(text):
        raise InputError(f"{name}: not valid TOML: a key of more than {DEPTH} parts")
    try:
        values: dict[str, object] = tomllib.loads(text)
    except RecursionError:
        raise InputError(f"{name}: not valid TOML: it nests too deep") from None
    except ValueError as error:
        raise InputError(f"{name}: not valid TOML: {error}") from None
    if not _is_shallow(values):
        raise InputError(f"{name}: not valid TOML: it nests more than {DEPTH} levels deep")
    return values


def _is_shallow(values: object) -> bool:
    """Whether tables and lists nest no more than ``DEPTH`` levels."""
    level = [values]
    for _ in range(DEPTH):
        below: list[object] = []
        for one in level:
            below += one.values() if isinstance(one, dict) else one if isinstance(one, list) else []
        if not below:
            return True
        level = below
    return False


def validate(values: Mapping[str, object], text: str, name: str) -> Recipe:
    """A Recipe from plain values; InputError lists every fault, one line each."""
    written = {key: value for key, value in values.items() if key not in RESULTS}
    line = _secret_line(text)
    if line or masked(written) != written:
        raise InputError(
            f"{name}: {f'line {line}' if line else 'a value'} holds what looks like an access "
            "token; remove it and set HF_TOKEN in the environment"
        )
    faults = [_place(where, said, text) for where, said in _path_faults(values)]
    count, recipe = len(faults), None
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        count += error.error_count()
        found = error.errors(include_url=False, include_input=False)
        faults += [_sentence(fault, text) for fault in found[:SHOWN_FAULTS]]
    if recipe is not None and not faults:
        return recipe
    more = [f"and {count - len(faults):,} more"] if count > len(faults) else []
    head = f"{name}: {count:,} fault{'s' if count > 1 else ''}"
    raise InputError("\n  ".join([f"{head}:", *sorted(faults), *more]))


def _path_faults(values: Mapping[str, object]) -> list[tuple[tuple[str, ...], str]]:
    """Where a recipe points at files in a way that is refused, and why."""
    found: list[tuple[tuple[str, ...], str]] = []
    for place, _, value in held_paths(values):
        if not isinstance(value, str) or not is_local(value):
            continue
        if ".." in Path(value).parts:
            found.append((place, NO_PARENT))
        elif "\0" in value:
            found.append((place, "holds a NUL character, and no path does; write it anew"))
        elif len(value.encode(errors="replace")) > MAX_PATH:
            found.append((place, f"is longer than {MAX_PATH} bytes, and no path is; shorten it"))
    return found


def _secret_line(text: str) -> int | None:
    """1-based line of an access token in what the user wrote, comments included.

    The tables that a run added are left out: they are masked when they are written.
    """
    mine = True
    for number, line in enumerate(text.splitlines(), 1):
        if header := _ANY_HEADER.match(line):
            mine = header[1].split(".")[0].strip("\"' ") not in RESULTS
        if mine and has_secret(line):
            return number
    return None


NAMES_ELSEWHERE = {
    "learning_rate": "lr",
    "num_train_epochs": "epochs",
    "warmup_ratio": "warmup",
    "lr_scheduler_type": "schedule",
    "max_grad_norm": "clip",
    "per_device_train_batch_size": "micro_batch",
    "torch_compile": "compile",
    "use_liger_kernel": "liger",
    "report_to": "trackers",
    "r": "rank",
    "lora_alpha": "alpha",
    "lora_dropout": "dropout",
    "target_modules": "targets",
    "model_name_or_path": "id",
}
"""What transformers' TrainingArguments and peft's LoraConfig call what a recipe names otherwise."""


def _place(key: tuple[str, ...], message: str, text: str) -> str:
    """A fault with its line and key."""
    line = locate(text, key)
    dotted = ".".join(key)[:MAX_KEY] or "recipe"
    where = f"line {line}: {dotted}" if line else dotted
    return f"{where}: {message}"


def _sentence(fault: ErrorDetails, text: str) -> str:
    key = _as_written(tuple(str(part) for part in fault["loc"]), text)
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        message = f"unknown key{_known_keys(key)}"
    elif fault["type"] == "missing":
        message = "is required"
    return _place(key, f"{message[:1].lower()}{message[1:]}"[:MAX_SENTENCE], text)


def _as_written(key: tuple[str, ...], text: str) -> tuple[str, ...]:
    """The key as the file has it: the second ``[[generic]]`` as ``generic.2``."""
    if not key or key[0] not in SIDES:
        return key
    side, *inner = key
    if len(inner) > 1 and inner[0] == "also":
        return (side, str(int(inner[1]) + 2), *inner[2:])
    several = any(written[:2] == (side, "1") for written, _ in _written_keys(text))
    return (side, "1", *inner) if several else key


def _known_keys(key: tuple[str, ...]) -> str:
    """What an unknown key may have been meant as, else every key that its table knows."""
    model: type[BaseModel] = Recipe
    key = tuple(name for name in key if not name.isdecimal())
    for name in key[:-1]:
        found = _table(model, name)
        if found is None:
            return ""
        model = found
    known = [field.alias or name for name, field in model.model_fields.items()]
    meant = NAMES_ELSEWHERE.get(key[-1], "")
    near = [meant] if meant in known else get_close_matches(key[-1][:MAX_KEY], known, 1)
    if near:
        return f"; did you mean {near[0]}?"
    where = f"[{'.'.join(key[:-1])}]" if key[:-1] else "a recipe"
    return f"; {where} knows {', '.join(known)}"


def _table(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    """The model of a table inside of another; None where it is not one."""
    for held, field in model.model_fields.items():
        if name in (held, field.alias):
            kinds = [field.annotation, *get_args(field.annotation)]
            models = (k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel))
            return next(models, None)
    return None


def load_recipe(path: Path, root: Path | None = None) -> tuple[Recipe, str]:
    """Read a recipe file; relative paths resolve against ``root`` (default: its folder).

    Returns the recipe with absolute paths, and the file's text. Raises InputError.
    """
    try:
        raw = path.read_bytes()[: MAX_BYTES + 1]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    if len(raw) > MAX_BYTES:
        raise InputError(f"{path}: larger than 1 MB; a recipe is a page of TOML")
    try:
        text = raw.decode("utf-8-sig")  # editors on Windows put a mark before the first byte
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; save it as UTF-8") from None
    recipe = validate(parse_toml(text, path.name), text, path.name)
    return resolve(recipe, (root or path.parent).resolve()), text


def recipe_folder() -> Path:
    """Where the ready recipes are: inside an installed wheel, or in the checkout."""
    packaged = Path(__file__).parents[1] / "_recipes"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "recipes"


def resolve(recipe: Recipe, base: Path) -> Recipe:
    """Make local paths absolute, name a family's sources, and pin what a run has fetched."""
    values = recipe.model_dump(by_alias=True)
    for place, table, value in held_paths(values):
        if not isinstance(value, str) or not value or not is_local(value):
            continue
        local = base / _expanded(value)
        # A model id that is no folder here is a hub id (owner/name), and a run may be an id.
        if place not in _NAMES or os.path.lexists(local) or value.startswith((".", "/", "~")):
            table[place[-1]] = str(local)
    name_family(values)
    pin_fetched(values)
    return Recipe.model_validate(values)


def _expanded(value: str) -> Path:
    """The path with its ``~`` as a folder; of a user who is not there, as it is written."""
    try:
        return Path(value).expanduser()
    except RuntimeError:
        return Path(value)


def local_paths(recipe: Recipe) -> dict[str, str]:
    """The files and folders of this machine that a recipe points at, by their dotted key.

    A hub's names are left out, and so is a model's that could be one (owner/name).
    """
    found = {}
    for place, _, value in held_paths(recipe.model_dump(by_alias=True)):
        if not isinstance(value, str) or not value or not is_local(value):
            continue
        if place not in _NAMES or value.startswith((".", "/", "~")):
            found[".".join(place)] = value
    return found


def dump(recipe: Recipe, template: str = "") -> str:
    """TOML text of a recipe. With ``template`` its comments and order survive.

    Only values that were set or differ from their default are written.
    """
    document = tomlkit.parse(template) if template else tomlkit.document()
    values = recipe.model_dump(by_alias=True, exclude_unset=True, exclude_none=True)
    as_tables(values)
    merge(document, values)
    return tomlkit.dumps(document)


def merge(document: MutableMapping[str, Any], values: Mapping[str, object]) -> None:
    """Write ``values`` into a tomlkit container, leaving equal entries untouched."""
    for key, value in values.items():
        if isinstance(value, dict):
            if key not in document or not isinstance(document[key], dict):
                document[key] = tomlkit.table()
            merge(document[key], value)
        elif key not in document or document[key] != value:
            document[key] = list(value) if isinstance(value, tuple) else value


def amend(
    path: Path, changes: Mapping[str, Mapping[str, object]], instead: tuple[str, ...] = ()
) -> None:
    """Add a later stage's intent to a run's recipe; comments and order survive. InputError.

    ``instead`` names a table that the changes replace, keys that they do not name included.
    """
    before = path.read_text(encoding="utf-8-sig")
    document = tomlkit.parse(before)
    table: Any = document
    for name in instead[:-1]:
        table = table.get(name, {})
    if instead:
        table.pop(instead[-1], None)
    try:
        merge(document, changes)
    except ValueError as error:  # an inline table cannot hold one
        names = " and ".join(f"[{name}]" for name in changes)
        raise InputError(f"{path}: write {names} as a table of its own ({error})") from None
    text = tomlkit.dumps(document) if find_change(before) else _sealed(document)
    validate(parse_toml(text, path.name), text, path.name)
    write_atomic(path, text)


def provenance(path: Path) -> dict[str, object]:
    """The ``[provenance]`` that a run wrote into its recipe; empty before that."""
    try:
        found = parse_toml(path.read_text(encoding="utf-8-sig"), path.name).get("provenance")
    except (OSError, InputError):
        return {}
    return found if isinstance(found, dict) else {}


def write_results(path: Path, results: Mapping[str, Mapping[str, object]]) -> None:
    """Replace the tables a run adds (``[evidence]``, ``[verdict]``, ``[provenance]``)."""
    document = tomlkit.parse(path.read_text(encoding="utf-8-sig"))
    for name, table in results.items():
        if name in document:
            del document[name]
        document[name] = tomlkit.item(_plain(masked(table)))
    write_atomic(path, _sealed(document))


def _sealed(document: tomlkit.TOMLDocument) -> str:
    """The text with its own hash in ``[provenance]``, where a run has written one."""
    added: Any = document.get("provenance")
    if added is not None:
        added[KEY] = ""
        added[KEY] = recipe_digest(tomlkit.dumps(document))
    return tomlkit.dumps(document)


def _plain(value: object) -> object:
    """Values TOML can hold: None entries are dropped."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value if v is not None]
    return value
