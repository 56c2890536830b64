"""What the scan and the probe leave in the log: whole, of an old version, or hostile."""

from __future__ import annotations

import math
from typing import Any

EVIL = "\x1b[31mEVIL[/nope]\x1b]0;pwned\x07 \u009b31m\u202eflip\u200b [@click=app.quit]go[/]"
"""What a hostile corpus, file name or model output may hold."""

PASSAGE = "Histology showed a Glioblastom of the left temporal lobe, WHO grade IV, resected in May."


def scan(hostile: bool = False, old: bool = False) -> dict[str, Any]:
    """Evidence of the scan stage; ``old`` leaves out what earlier versions did not measure."""
    found = {
        "scan": {
            "domain": side("/data/letters", 6240, 3_100_000, hostile),
            "generic": side("embedded sample", 812, 240_000),
            "shape": _shape(hostile),
            "contamination": {
                "gold_items": 400,
                "gold_in_corpus": [17, 203],
                "gold_common": [5, 88, 301],
                "gold_short": 4,
                "heldout_documents": 312,
                "heldout_in_train": 9,
                "examples": [EVIL if hostile else "the patient was discharged in good condition"],
            },
        },
        "fertility": _fertility(hostile),
        "gate": {
            "gold_items": 400,
            "sft_examples": 800,
            "metric": "choice",
            "seeds": 5,
            "majority_rate": 0.31,
            "overlap_items": 0,
            "contaminated_share": 0.005,
            "contaminated_items": [17, 203],
            "mde": 4.6,
            "plausible_gain": 10.0,
        },
    }
    return _without(found, NEW_IN_SCAN) if old else found


def side(source: str, documents: int, tokens: int, hostile: bool = False) -> dict[str, Any]:
    """One side of the scan; the domain side has oddities, the generic one none."""
    own = "letters" in source
    return {
        "source": source,
        "fingerprint": "f" * 64,
        "files": 3,
        "documents": documents,
        "bytes": tokens * 4,
        "words": int(tokens / 1.6),
        "tokens": tokens,
        "heldout_documents": documents // 20,
        "heldout_tokens": tokens // 20,
        "duplicate_documents": 31 if own else 0,
        "duplicate_bytes": 90_000 if own else 0,
        "left_out_documents": 803 if own else 0,
        "left_out_tokens": 395_000 if own else 0,
        "skipped": {EVIL if hostile else "empty": 4, "not text": 1} if own else {},
        "skipped_bytes": 48_200 if own else 0,
        "notes": [EVIL if hostile else "notes.bin: not text, left out"] if own else [],
        "median_tokens": 410.0,
        "padding_share": 0.41,
        "text_column": None,
        "encodings": {"utf-8": 2, "cp1252": 1} if own else {"utf-8": 1},
        "mojibake_documents": 12 if own else 0,
        "quality": _quality(hostile) if own else None,
    }


def _quality(hostile: bool) -> dict[str, Any]:
    text = EVIL if hostile else "Dear colleague, thank you for referring"
    other = EVIL if hostile else "b.txt"
    return {
        "documents": 6240,
        "near_duplicate_documents": 803,
        "near_duplicate_tokens": 395_000,
        "repeated_passages_share": 0.17,
        "repeated_passages_tokens": 110_000,
        "word_order": {
            "words": 300_000,
            "run": 2,
            "share": 0.53,
            "shuffled_share": 0.34,
            "ratio": {"value": 1.56, "low": 1.51, "high": 1.61},
            "why": "",
        },
        "near_pairs": [
            {"kept": "a.txt:1", "dropped": f"{other}:7", "similarity": 0.94, "text": text},
            {"kept": "a.txt:9", "dropped": "c.txt:2", "similarity": 0.88, "text": "Status post"},
        ],
        "exact_examples": [f"{EVIL if hostile else 'old/a.txt'} repeats a.txt:1"],
        "boilerplate_share": 0.062,
        "boilerplate": [
            {"text": EVIL if hostile else "Confidential. Do not forward.", "documents": 5102}
        ],
        "gzip_ratio": 0.36,
        "odd_words_share": 0.006,
        "odd_characters_share": 0.0004,
        "languages": [
            {"name": EVIL if hostile else "German", "share": 0.93},
            {"name": "English", "share": 0.05},
            {"name": "unknown", "share": 0.02},
        ],
        "notes": [EVIL if hostile else "near-duplicates: a sample of 6,240 of 6,240 documents"],
    }


def _shape(hostile: bool) -> dict[str, Any]:
    sample = EVIL if hostile else "Admitted on 3 May with headache and aphasia. CT showed"
    return {
        "kind": "raw",
        "confidence": 0.93,
        "why": EVIL if hostile else "plain text: running text, median 410 words",
        "examples": [sample],
        "parts": [
            {
                "kind": "raw",
                "share": 0.941,
                "confidence": 0.93,
                "samples": [sample, "Discharged on day 6 with steroids, follow-up in clinic"],
            },
            {
                "kind": "short_rows",
                "share": 0.059,
                "confidence": 0.71,
                "samples": ["CRP 14 mg/l", "Hb 12.1 g/dl"],
            },
        ],
    }


def _fertility(hostile: bool) -> dict[str, Any]:
    worst = EVIL if hostile else "Glioblastom"
    return {
        "domain_tokens_per_word": 2.31,
        "generic_tokens_per_word": 1.42,
        "domain_tokens_per_byte": 0.31,
        "generic_tokens_per_byte": 0.24,
        "ratio": 1.63,
        "worst_terms": [
            {"term": "Anamnese", "count": 640, "pieces": ["An", "am", "nese"], "saved": 1280},
            {"term": worst, "count": 212, "pieces": ["Gl", "iob", "last", "om"], "saved": 636},
        ],
        "whole_word_saving": 0.043,
    }


SPREADS = {"domain": (1.273, 0.12, 0.02), "generic": (0.896, 0.08, 0.012)}
"""Each side's median, width and skew of bits per byte over documents."""


def _spread(middle: float, width: float, skew: float) -> list[float]:
    """A bell with a longer upper tail, at its 0, 5, ... 100th percentile."""
    found = []
    for i in range(21):
        share = min(0.995, max(0.005, i / 20))
        z = math.log(share / (1 - share)) / 1.7
        found.append(round(middle + width * z + skew * z * z, 4))
    return found


def _loss(name: str, nats: float, bits: float) -> dict[str, Any]:
    spread = _spread(*SPREADS[name])
    return {
        "nats_per_token": nats,
        "bits_per_byte": bits,
        "median": spread[10],
        "trimmed": round(bits * 0.985, 3),
        "documents": 120,
        "tokens": 52_000,
        "bytes": 190_000,
        "spread": spread,
    }


def probe(hostile: bool = False, old: bool = False) -> dict[str, Any]:
    """Evidence of the probe stage."""
    found = {
        "fluency": _fluency(hostile),
        "pilot": {
            "domain_gain": 0.131,
            "generic_gain": 0.012,
            "gain": {"value": 0.119, "low": 0.088, "high": 0.151},
            "tokens": 100_000,
            "steps": 24,
            "method": "lora",
            "lr": 1e-4,
            "seconds": 80.0,
            "order_ratio": {"value": 1.14, "low": 1.11, "high": 1.17},
        },
        "explanations": _explanations(hostile),
        "cost": {
            "tokens": 3_270_000,
            "tokens_per_s": 2150.0,
            "train_seconds": 1520.0,
            "gate_seconds": 2400.0,
            "memory_gb": 2.4,
            "train_flops": 2.6e15,
            "gate_flops": 5.1e15,
            "gate_memory_gb": 3.1,
        },
    }
    return _without(found, NEW_IN_PROBE) if old else found


TERMS = ("Glioblastom", "Anamnese", "Hemiparese", "Dexamethason", "Aphasie")


def _fluency(hostile: bool) -> dict[str, Any]:
    terms = (EVIL, *TERMS[1:]) if hostile else TERMS
    return {
        "domain": _loss("domain", 3.412, 1.312),
        "generic": _loss("generic", 2.871, 0.924),
        "ratio": {"value": 1.42, "low": 1.31, "high": 1.55},
        "nats_ratio": 1.19,
        "surprising_documents": [
            {
                "text": EVIL if hostile else "Z.n. GBM li. temp., unmeth.",
                "bits_per_byte": 2.31,
            },
            {"text": "ED 03/24, RTx 60 Gy, TMZ 6 Zyklen, PD 11/24", "bits_per_byte": 2.2},
        ],
        "surprising_terms": [
            {"text": term, "bits_per_byte": 4.1 - i / 5, "count": 12 + 7 * i}
            for i, term in enumerate(terms)
        ],
        "seconds": 21.0,
        "classes": _classes(),
        "budget_ended": False,
    }


def _classes() -> list[dict[str, Any]]:
    names = ("words", "numbers", "punctuation", "whitespace")
    shares = ((0.71, 0.76), (0.09, 0.02), (0.14, 0.13), (0.06, 0.09))
    nats = ((3.91, 3.12), (2.88, 2.41), (1.64, 1.31), (0.92, 0.88))
    return [
        {
            "name": name,
            "domain_share": share[0],
            "generic_share": share[1],
            "domain_nats": nat[0],
            "generic_nats": nat[1],
        }
        for name, share, nat in zip(names, shares, nats, strict=True)
    ]


def _explanations(hostile: bool) -> list[dict[str, Any]]:
    text = EVIL if hostile else "is a kind of bird that lives in the north of the country and"
    terms = (EVIL if hostile else "Glioblastom", "Anamnese", "Hemiparese")
    texts = (text, "is the name of a small town near the river", "means that the body is weak")
    return [
        {
            "term": term,
            "prompt": f"{term.capitalize()} is",
            "text": said,
            "passages": [
                EVIL if hostile else PASSAGE.replace("Glioblastom", term),
                f"After the {term} was known, the family was told.",
            ],
        }
        for term, said in zip(terms, texts, strict=True)
    ]


NEW_IN_SCAN = {"parts", "quality", "contamination", "encodings", "mojibake_documents", "saved"}
NEW_IN_SCAN |= {"whole_word_saving", "contaminated_items", "word_order", "generic_kind"}
NEW_IN_SCAN |= {"left_out_documents", "left_out_tokens"}
NEW_IN_SCAN |= {"repeated_passages_share", "repeated_passages_tokens", "overlong_share"}
NEW_IN_PROBE = {"spread", "classes", "order_ratio", "budget_ended"}
NEW_IN_PROBE |= {"passages", "gate_flops", "gate_memory_gb"}


def _without(value: Any, names: set[str]) -> Any:
    """The same evidence as a version left it that did not know these fields."""
    if isinstance(value, dict):
        return {key: _without(held, names) for key, held in value.items() if key not in names}
    return [_without(held, names) for held in value] if isinstance(value, list) else value
