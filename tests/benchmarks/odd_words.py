"""Odd words: clean text against the same text with simulated OCR errors.

``python -m tests.benchmarks.odd_words --material DIR [--handbook DIR]``. The second folder is the
HTML of Debian's package ``debian-handbook`` (usr/share/doc/debian-handbook/html): other languages.
"""

from __future__ import annotations

import argparse
import html
import json
import random
import re
import statistics
import sysconfig
from pathlib import Path

from engine.quality.odd_words import odd_words_share, plain_share

SIZE = 600_000
RATES = (0.0, 0.005, 0.01, 0.02, 0.05, 0.15)
CONFUSED = dict(zip("oehiscatfgvbrBO", "0cbl5eoftqyhi80", strict=True)) | {"l": "1"}
PAIRS = {"m": "rn", "n": "ri", "u": "ii", "d": "cl", "w": "vv"}
LETTERS = "abcdefghijklmnopqrstuvwxyz"
LANGUAGES = ("de-DE", "fr-FR", "es-ES", "it-IT", "ru-RU", "pl-PL", "ja-JP", "ar-MA", "vi-VN")


def wrong_letters(text: str, rate: float) -> str:
    """Letters replaced, dropped or doubled by random ones."""
    rng = random.Random(0)
    out = []
    for letter in text:
        if letter.isspace() or rng.random() >= rate:
            out.append(letter)
        else:
            kind = rng.random()
            more = rng.choice(LETTERS)
            out.append(more if kind < 0.6 else "" if kind < 0.8 else letter + more)
    return "".join(out)


def scanned(text: str, rate: float) -> str:
    """What a scanner confuses: similar letters, specks as punctuation, split words."""
    rng = random.Random(0)
    out = []
    for letter in text:
        if letter.isspace() or rng.random() >= rate:
            out.append(letter)
            continue
        kind = rng.random()
        if kind < 0.6 and letter in PAIRS:
            out.append(PAIRS[letter])
        elif kind < 0.6 and letter in CONFUSED:
            out.append(CONFUSED[letter])
        elif kind < 0.75:
            out.append(rng.choice(".,'~^;:|!-"))
        elif kind < 0.85:
            out.append(letter + " ")
        else:
            out.append("" if kind < 0.93 else rng.choice(LETTERS))
    return "".join(out)


def joined(paths: list[Path], each: int = 60_000) -> str:
    return "\n".join(path.read_text("utf-8", "replace")[:each] for path in paths)[:SIZE]


def plain(folder: Path) -> str:
    pages = (path.read_text("utf-8", "replace") for path in sorted(folder.glob("*.html")))
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)) for page in pages)
    return re.sub(r"\s+", " ", text)[:SIZE]


def chemical() -> str:
    """Made-up systematic names in made-up procedures."""
    rng = random.Random(3)
    groups = ["methyl", "ethyl", "phenyl", "hydroxy", "amino", "chloro", "fluoro", "benzyl"]
    stems = ["propanoic acid", "benzamide", "pyrimidin-2-amine", "1H-indole", "thiazole"]
    return " ".join(
        f"{rng.randint(1, 6)}-({rng.choice(groups)}{rng.choice(groups)})-{rng.choice(stems)} was "
        f"dissolved in DMSO-d6 and stirred with K2CO3 for {rng.randint(1, 24)} h."
        for _ in range(6000)
    )[:SIZE]


def texts(material: Path, handbook: Path | None) -> dict[str, str]:
    medical = (material / "domains/medical/corpus.jsonl").read_text().splitlines()[::30]
    stdlib = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    headers = sorted(Path(sysconfig.get_path("include")).rglob("*.h"))
    found = {
        "novels": joined(sorted((material / "general/novels").glob("[A-R]*.txt")), SIZE // 5),
        "tinystories": joined(sorted((material / "general/tinystories").glob("t*.txt")), SIZE),
        "wikitext2": joined(sorted((material / "general/wikitext2").glob("t*.txt")), SIZE),
        "legal": joined(sorted((material / "domains/legal").rglob("*.md"))[::5], 20_000),
        "medical": "\n".join(json.loads(line)["text"] for line in medical)[:SIZE],
        "code, python": joined(stdlib, 20_000),
        "code, C headers": joined(headers, 20_000),
        "chemical names": chemical(),
    }
    for language in LANGUAGES if handbook else ():
        found[f"handbook {language}"] = plain(handbook / language)  # type: ignore[operator]
    return found


def no_words() -> dict[str, str]:
    """Text that is none of words, made up: a log, links, numbers, molecules."""
    rng = random.Random(5)
    atoms = ["C", "c1ccccc1", "N", "O", "(=O)", "Cl", "C(=O)O", "[nH]", "[C@@H]"]
    lines = {
        "log": lambda: (
            f"Nov {rng.randint(1, 28)} {rng.randint(10, 23)}:{rng.randint(10, 59)}:07 alpha "
            f"sshd[{rng.randrange(9999)}]: Accepted publickey for anna from 10.0.0."
            f"{rng.randrange(255)} port {rng.randrange(65_000)} ssh2"
        ),
        "links": lambda: f"https://www.example.com/{rng.getrandbits(64):x}/{rng.randrange(999)}",
        "numbers": lambda: ",".join(f"{rng.random():.4f}" for _ in range(8)),
        "molecules": lambda: "".join(rng.choices(atoms, k=rng.randint(4, 14))),
    }
    return {name: "\n".join(line() for _ in range(4000)) for name, line in lines.items()}


def plain_median(text: str) -> float:
    return statistics.median(
        plain_share(text[at : at + 1500]) for at in range(0, len(text), 15_000)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--material", type=Path, required=True)
    parser.add_argument("--handbook", type=Path)
    arguments = parser.parse_args()
    found = texts(arguments.material, arguments.handbook)
    spoilt: dict[float, list[float]] = {rate: [] for rate in RATES}
    print(f"{'odd words, %':22}" + "".join(f"{rate:>9.1%}" for rate in RATES))
    for name, text in found.items():
        for spoil in (wrong_letters, scanned):
            shares = [odd_words_share([spoil(text, rate)]) for rate in RATES]
            for rate, share in zip(RATES, shares, strict=True):
                spoilt[rate].append(share)
            row = "".join(f"{100 * share:9.2f}" for share in shares)
            print(f"{name:22}{row}  {spoil.__name__}")
    print("\nplain words, % (median of pieces): clean, and with 5% of the characters scanned wrong")
    for name, text in {**found, **no_words()}.items():
        shares = [plain_median(text), plain_median(scanned(text, 0.05))]
        print(f"{name:22}" + "".join(f"{100 * share:9.1f}" for share in shares))
    print("\nshare of texts above the limit, by rate of wrong characters")
    for limit in (0.005, 0.0075, 0.01, 0.015, 0.02):
        above = [sum(s >= limit for s in spoilt[rate]) / len(spoilt[rate]) for rate in RATES]
        print(f"{limit:22.2%}" + "".join(f"{share:9.2f}" for share in above))


if __name__ == "__main__":
    main()
