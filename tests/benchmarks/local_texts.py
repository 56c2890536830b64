"""Texts for the benchmarks that no folder of material holds: man pages, code, strings, logs.

Languages come from Debian's translated man pages (free licences), which
``apt-get download manpages-de manpages-fr manpages-pl manpages-ja manpages-zh`` fetches into the
folder given as ``--packages``; code from Python's own library; strings and logs are generated.
"""

from __future__ import annotations

import gzip
import random
import re
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

_MACRO = re.compile(r"^[.'](?:\\\"|[A-Za-z]{0,3}\b)[ \t]*")
_SILENT = re.compile(r"^[.'](?:\\\"|ds|de|TH|so|nr|if|ie|el|tr|ig|PD|sp|ft|in|ad|nh|hy|UR|MT)")
_ESCAPE = re.compile(r"\\(?:f(?:\[[^\]]*\]|\(..|.)|s[-+]?\d+|&|\||\^|:|%|c|/|,|d|u|e)")
_GLYPH = re.compile(r"\\(?:\((..)|\[(\w+)\])")
_GLYPHS = {"aq": "'", "dq": '"', "em": "-", "en": "-", "lq": '"', "rq": '"', "bu": "*", "co": "(c)"}


def man_pages(packages: Path, language: str) -> list[str]:
    """The text of every page of a language's package, without its markup."""
    unpacked = packages / f"unpacked-{language}"
    if not unpacked.is_dir():
        (deb,) = packages.glob(f"manpages-{language}_*.deb")
        subprocess.run(["dpkg-deb", "-x", str(deb), str(unpacked)], check=True)
    pages = sorted(p for p in unpacked.rglob("*.gz") if "/man/" in str(p) and not p.is_symlink())
    found = (plain(gzip.decompress(page.read_bytes()).decode(errors="replace")) for page in pages)
    return [text for text in found if len(text) > 400]


def plain(roff: str) -> str:
    """A page as a reader sees it, roughly: requests dropped, escapes resolved."""
    lines = []
    for line in roff.splitlines():
        if _SILENT.match(line):
            continue
        line = _GLYPH.sub(lambda found: _GLYPHS.get(found[1] or found[2], ""), line)
        line = _ESCAPE.sub("", line).replace("\\-", "-").replace("\\ ", " ").replace("\\", "")
        line = _MACRO.sub("", line).strip().strip('"')
        lines.append(line)
    return "\n".join(lines).strip()


def python_sources(limit: int = 8_000_000) -> list[str]:
    """Modules of Python's own library, up to so many bytes."""
    found, size = [], 0
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py")):
        if "site-packages" in path.parts or "test" in path.parts or "tests" in path.parts:
            continue
        text = path.read_text(errors="replace")
        found.append(text)
        size += len(text)
        if size > limit:
            break
    return found


def molecules(count: int = 60_000) -> list[str]:
    """Strings like SMILES, out of a small grammar of chains, rings and branches."""
    rng = random.Random(0)
    return [_molecule(rng, rng.randrange(2, 9)) for _ in range(count)]


_ATOMS = ("C", "C", "C", "N", "O", "S", "F", "Cl", "Br", "c1ccccc1", "C1CCCC1", "c1ccncc1", "C=O")
_ENDS = ("C(=O)O", "C(=O)N", "C#N", "[N+](=O)[O-]", "S(=O)(=O)N", "OC", "[C@@H](C)O", "N1CCOCC1")


def _molecule(rng: random.Random, parts: int) -> str:
    text = ""
    for _ in range(parts):
        atom = rng.choice(_ATOMS)
        text += f"({_molecule(rng, 1)})" if text and rng.random() < 0.25 else atom
    return text + rng.choice(_ENDS)


def logs(lines: int = 60_000) -> list[str]:
    """Days of a server's log, an hour a document: a few kinds of lines, numbers in all of them."""
    rng, found, hour = random.Random(1), [], []
    users = [f"u{rng.randrange(10**6):06}" for _ in range(400)]
    paths = [f"/api/v{rng.randrange(3)}/{w}" for w in ("orders", "users", "stock", "login", "feed")]
    for number in range(lines):
        stamp = f"2026-03-{1 + number // 2400:02} {number // 100 % 24:02}:{number % 60:02}:"
        stamp += f"{rng.randrange(60):02},{rng.randrange(1000):03}"
        hour.append(f"{stamp} {_line(rng, users, paths)}")
        if len(hour) == 100:
            found.append("\n".join(hour))
            hour = []
    return found


def _line(rng: random.Random, users: list[str], paths: list[str]) -> str:
    user, path = rng.choice(users), rng.choice(paths)
    kinds = (
        f"INFO [worker-{rng.randrange(8)}] {path} 200 {rng.randrange(900)}ms user={user}",
        f"WARN [pool-{rng.randrange(4)}] queue depth {rng.randrange(5000)} above {1000}",
        f"INFO [worker-{rng.randrange(8)}] {path} 404 {rng.randrange(40)}ms user={user}",
        f"ERROR [db] deadlock on shard {rng.randrange(16)}, retry {rng.randrange(5)} for {user}",
        f"DEBUG [cache] evicted {rng.randrange(9000)} keys in {rng.random():.3f}s",
    )
    return rng.choices(kinds, (60, 10, 10, 5, 15))[0]


def random_strings(count: int = 30_000) -> list[str]:
    """Base64 of random bytes: nothing in it can be learnt but its alphabet."""
    rng = random.Random(2)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return ["".join(rng.choices(letters, k=180)) for _ in range(count)]


def number_tables(rows: int = 3000) -> list[str]:
    """Tables of random numbers."""
    rng = random.Random(3)
    return ["\n".join(_numbers(rng)) for _ in range(rows)]


def _numbers(rng: random.Random) -> Iterator[str]:
    for _ in range(30):
        yield " ".join(str(rng.randrange(1000)) for _ in range(10))
