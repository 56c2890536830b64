"""The recipe's section on processes and threads."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.recipe.base import Section


class Launch(Section):
    """``[launch]``"""

    threads: Annotated[int, Field(gt=0, le=1024)] | None = Field(
        None, description="CPU threads of a process; default all cores, shared in training"
    )
    processes: Annotated[int, Field(ge=1, le=1024)] = Field(
        1, description="training processes on this machine, one for each GPU (torchrun)"
    )
    strategy: Literal["ddp", "fsdp2"] = Field(
        "ddp",
        description="several processes: ddp = each holds the model; fsdp2 = each holds a part",
    )
