"""Attention over packed documents, each by itself, in place of one dense mask over the row.

transformers tells packed documents apart by a [B, 1, T, T] mask, so attention costs T x T however
short the documents are. Here the mask function of its attention interface returns the documents'
sizes instead, and the attention function reads each document causally by itself. What else a mask
may say (a window shorter than a document, padding, a cache, a mask of one's own) goes to SDPA with
its dense mask, as before. ``fast_paths.allow`` turns it on where ``self_check`` has proven it.

Measured with ``python -m tests.benchmarks.speed``. Joining short documents to blocks of 64 to 256
tokens with small masks was slower than one call a document, and so was repeating grouped heads.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F

from engine.worker.job.determinism import repeatable

if TYPE_CHECKING:
    from transformers import PretrainedConfig

NAME = "sdpa_by_document"
"""The attention function's name among transformers'."""
DENSE = "sdpa"
"""The one that it stands in for."""
PAYS_FROM = 32_768
"""Scores (query, key and head) of the dense mask for each document from which reading documents
one by one is faster on a CPU. Measured on rows of 64 to 2,048 tokens, one pass forward and back:
3.2 times the dense mask's time at 4,096 scores a document, 1.3 (4 heads of 8) to 0.73 (9 heads of
64) at 16,384 to 18,432, 0.06 to 0.4 beyond 73,000."""

Sees = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""transformers' mask functions: whether row and head let a query see a key."""
Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Documents:
    """Sizes of all documents of a micro-batch, row by row; it is given where a mask would be.

    It goes through the layers as an argument, so a recomputed layer gets the same one.
    """

    sizes: tuple[int, ...]
    reads: ClassVar[int] = 0
    """Attention calls that read one: the self-check must see that a model's layers do."""
    forced: ClassVar[bool] = False
    """Whether it is taken even where it does not pay."""

    @cached_property
    def offsets(self) -> torch.Tensor:
        """Where documents begin and end on the GPU, copied there once for all layers."""
        ends = [0, *accumulate(self.sizes)]
        return torch.tensor(ends, dtype=torch.int32, device="cuda")


@contextlib.contextmanager
def forced() -> Iterator[None]:
    """Take documents one by one wherever it is possible, for a check on short text."""
    kept, Documents.forced = Documents.forced, True
    try:
        yield
    finally:
        Documents.forced = kept


def switch(model: torch.nn.Module, on: bool) -> None:
    """Let the layers of a transformers model read documents one by one, or not."""
    configs = {id(c): c for m in model.modules() if (c := getattr(m, "config", None)) is not None}
    for config in configs.values():
        kernel = getattr(config, "_attn_implementation", None)
        if kernel == (DENSE if on else NAME):
            _register()
            config._attn_implementation = NAME if on else DENSE


def is_sdpa(config: PretrainedConfig) -> bool:
    """Whether a mask of booleans [B, 1, T, T] is what this model's attention takes."""
    return config._attn_implementation in (DENSE, NAME)


def _register() -> None:
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, documents_mask)


def documents_mask(
    *,
    batch_size: int,
    q_length: int,
    kv_length: int,
    mask_function: Sees,
    q_offset: int = 0,
    kv_offset: int = 0,
    attention_mask: torch.Tensor | None = None,
    allow_is_causal_skip: bool = True,
    use_vmap: bool = False,
    device: torch.device | str = "cpu",
    config: PretrainedConfig | None = None,
    **more: Any,
) -> Documents | torch.Tensor | None:
    """The documents where a mask says nothing else, else SDPA's mask.

    transformers lets SDPA skip the mask of rows that are one document each; a compiled graph
    must not depend on sizes, and a mask function of a model's own is not looked into.
    """
    from transformers import AttentionMaskInterface

    packed = not (allow_is_causal_skip or use_vmap or torch.compiler.is_compiling())
    whole = attention_mask is None and q_length == kv_length and (q_offset, kv_offset) == (0, 0)
    if packed and whole:
        sizes = document_sizes(mask_function, batch_size, q_length, torch.device(device))
        heads = getattr(config, "num_attention_heads", 1)
        if sizes and (Documents.forced or pays(sizes, q_length, heads, torch.device(device))):
            return Documents(sizes)
    mask: torch.Tensor | None = AttentionMaskInterface()[DENSE](
        batch_size=batch_size,
        q_length=q_length,
        kv_length=kv_length,
        q_offset=q_offset,
        kv_offset=kv_offset,
        mask_function=mask_function,
        attention_mask=attention_mask,
        allow_is_causal_skip=allow_is_causal_skip,
        use_vmap=use_vmap,
        device=device,
        config=config,
        **more,
    )
    return mask


def pays(sizes: tuple[int, ...], length: int, heads: int, device: torch.device) -> bool:
    """Whether documents of these sizes in rows of ``length`` are faster one by one."""
    scores = sum(sizes) * length * heads
    return device.type != "cpu" or scores >= PAYS_FROM * len(sizes)


def document_sizes(
    sees: Sees, batch: int, length: int, device: torch.device
) -> tuple[int, ...] | None:
    """Sizes of the documents that a mask keeps apart; None where it hides or shows more.

    A document begins where a token does not see the one before it. Its tokens must see its
    first one (a window that is shorter hides it), none that is earlier and none that is later.
    """
    row = torch.arange(batch, device=device)[:, None]
    head = torch.zeros((), dtype=torch.long, device=device)
    at = torch.arange(length, device=device).expand(batch, -1)
    later, earlier = at[:, 1:], at[:, :-1]
    new = torch.ones_like(at, dtype=torch.bool)
    new[:, 1:] = ~sees(row, head, later, earlier)
    start = torch.where(new, at, 0).cummax(1).values
    before = (start - 1).clamp(min=0)
    odd = ~sees(row, head, at, start) | (sees(row, head, at, before) & (start > 0))
    if bool(odd.any() | sees(row, head, earlier, later).any()):
        return None
    begins = new.flatten().nonzero().flatten().tolist()
    ends = [*begins[1:], batch * length]
    return tuple(end - begin for begin, end in zip(begins, ends, strict=True))


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: Documents | torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """Attention [B, T, H, D] of queries [B, H, T, D] to keys and values [B, G, T, D]."""
    if not isinstance(attention_mask, Documents):
        from transformers import AttentionInterface

        out: tuple[torch.Tensor, None] = AttentionInterface()[DENSE](
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **more
        )
        return out
    asked = [name for name in ("softcap", "position_bias", "s_aux") if more.get(name) is not None]
    if asked:
        raise NotImplementedError(f"attention by document has no {', '.join(asked)}")
    Documents.reads += 1
    rows, heads, length, _ = query.shape
    # One row of all tokens, split once: slicing each document would make its backward fill a
    # tensor of the whole row for every document.
    flat = (x.transpose(1, 2).flatten(0, 1) for x in (query, key, value))
    whole: Tensors = (next(flat), next(flat), next(flat))
    grouped = key.shape[1] != heads
    if query.is_cuda and query.dtype in (torch.float16, torch.bfloat16) and not dropout:
        documents = attention_mask
        found = repeatable(whole, lambda *qkv: _read_varlen(qkv, documents, scaling, grouped))
    else:
        found = torch.cat(
            [
                _read_one(parts, dropout, scaling, grouped)
                for parts in zip(*(x.split(attention_mask.sizes) for x in whole), strict=True)
            ]
        )
    return found.view(rows, length, heads, -1), None


def _read_one(
    parts: tuple[torch.Tensor, ...], dropout: float, scaling: float | None, grouped: bool
) -> torch.Tensor:
    """One document's attention [n, H, D], causal."""
    query, key, value = (x.transpose(0, 1)[None] for x in parts)
    out = F.scaled_dot_product_attention(
        query, key, value, dropout_p=dropout, scale=scaling, is_causal=True, enable_gqa=grouped
    )
    return out[0].transpose(0, 1)


def _read_varlen(
    whole: tuple[torch.Tensor, ...], documents: Documents, scaling: float | None, grouped: bool
) -> torch.Tensor:
    """All documents in one call of torch's variable-length attention [tokens, H, D].

    Written for GPUs and not run on one yet; as every path it is taken only where the self-check
    has found it equal.
    """
    from torch.nn.attention.varlen import varlen_attn

    query, key, value = whole
    longest = max(documents.sizes)
    out = varlen_attn(
        query,
        key,
        value,
        documents.offsets,
        documents.offsets,
        longest,
        longest,
        scale=scaling,
        window_size=(-1, 0),
        enable_gqa=grouped,
    )
    assert isinstance(out, torch.Tensor)  # a pair only where more than the output is asked for
    return out
