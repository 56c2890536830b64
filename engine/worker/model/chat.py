"""Was the base trained to chat? By its name and its tokenizer."""

from __future__ import annotations

import re
from pathlib import Path

from engine.artifacts.scan import ChatSigns
from engine.worker.model.base import Base

NAME = re.compile(r"(?<![a-z])(instruct|chat|it|sft|dpo|rlhf|assistant)(?![a-z])", re.IGNORECASE)
"""Words of a name, between dashes: ``gemma-2-2b-it``, ``SmolLM2-135M-Instruct``."""
TURNS = (
    "<|im_start|>",
    "<|start_header_id|>",
    "<|user|>",
    "<|assistant|>",
    "<start_of_turn>",
    "[INST]",
    "<|start_of_role|>",
    "<|turn>",
    "<｜Assistant｜>",
)
"""Begin turns in the templates of the large families (ChatML, Llama 3, Phi and Zephyr, Gemma,
Mistral, Granite, DeepSeek)."""


def chat_signs(base: Base) -> ChatSigns:
    """What says that a base is a chat model."""
    name = re.search(NAME, Path(base.name).name)
    known = base.tokenizer.get_added_vocab()
    return ChatSigns(
        name=name[1].lower() if name else "",
        template=bool(base.tokenizer.chat_template),
        tokens=[token for token in TURNS if token in known],
    )
