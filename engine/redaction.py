"""Secrets: masked in all that a run writes, and dropped once nothing is left to fetch."""

from __future__ import annotations

import os
import re
from typing import Any

MASK = "[masked]"
_TOKENS = (
    r"\b(?P<hub>hf_)(?:[A-Za-z0-9]{20,}|(?:oauth|jwt|app|org)_[A-Za-z0-9._-]{16,})",
    # A JSON Web Token: two parts of base64url that begin with '{"', and a signature.
    r"\beyJ[A-Za-z0-9_-]{5,2000}\.eyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?",
    r"\bya29\.[A-Za-z0-9_-]{20,}",  # Google's OAuth
    r"\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\bglpat-[A-Za-z0-9_-]{20,}",
    r"\bxox[abeoprs]-[A-Za-z0-9-]{16,}",  # Slack's
    r"\bsk-(?:proj-|ant-)?[A-Za-z0-9_-]{0,80}[0-9][A-Za-z0-9_-]{20,}",
)
_CREDENTIALS = (
    # The name and password of a URL; of a URL without one, a long name that holds a digit.
    r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]{1,20}://)"
    r"(?:[^\s/?#\"'<>:@]*:[^\s/?#\"'<>]+|(?=[^\s/?#\"'<>:@]*[0-9])[^\s/?#\"'<>:@]{20,})(?=@)",
    # What follows a name that only secrets have.
    r"(?P<name>\b(?:access_token|refresh_token|id_token|client_secret|api_?key|x-api-key)"
    r"[\"']?\s{0,3}[=:]\s{0,3}[\"']?|\b(?:Bearer|Basic)\s{1,3})"
    r"(?=[A-Za-z._~+/-]*[0-9])[A-Za-z0-9._~+/-]{16,}={0,2}",
)
_SECRET = re.compile("|".join((*_TOKENS, *_CREDENTIALS)), re.IGNORECASE)
_SIGNS = re.compile(
    r"hf_|eyJ|ya29\.|gh[pousr]_|hub_pat_|glpat-|xox|sk-|://|token|secret|key|bea|bas", re.I
)
"""What every secret has a part of: a text without it, which most are, is not searched."""
VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""Where huggingface_hub looks for a token."""


def has_secret(text: str) -> bool:
    """Whether ``masked`` would change the text."""
    return bool(masked(text) != text)


def masked(value: Any) -> Any:
    """The value (JSON-like) with every secret in its texts made unreadable.

    Access tokens of hubs, OAuth and JSON Web Tokens, and names with passwords in URLs; what a
    secret is of (``hf_``, the URL's host) stays.
    """
    if isinstance(value, str):
        return _SECRET.sub(_mask, value) if _SIGNS.search(value) else value
    if isinstance(value, dict):
        return {masked(key): masked(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(masked, value))
    return value


def _mask(found: re.Match[str]) -> str:
    return (found["hub"] or found["scheme"] or found["name"] or "") + MASK


def forget_tokens() -> None:
    """Take the hub's tokens out of this process's environment."""
    for name in VARIABLES:
        os.environ.pop(name, None)
