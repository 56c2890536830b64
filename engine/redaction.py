"""Access tokens: masked in all that a run writes, and dropped once nothing is left to fetch."""

from __future__ import annotations

import os
import re
from typing import Any

SECRET = re.compile(r"\bhf_[A-Za-z0-9]{20,}")
MASK = "hf_[masked]"
VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""Where huggingface_hub looks for a token."""


def masked(value: Any) -> Any:
    """The value (JSON-like) with every access token in its texts made unreadable."""
    if isinstance(value, str):
        return SECRET.sub(MASK, value)
    if isinstance(value, dict):
        return {masked(key): masked(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(masked, value))
    return value


def forget_tokens() -> None:
    """Take the hub's tokens out of this process's environment."""
    for name in VARIABLES:
        os.environ.pop(name, None)
