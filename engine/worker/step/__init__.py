"""What is one step of training? Rows in, one update out.

rows        packed rows as tensors
loss        cross-entropy: fused, kept or recomputed
chunked_head  the fused one of bf16 runs
frozen_base what is not trained, held in bf16
optimizer   learning rate and AdamW
step        micro-batches into one update
parallel    one process or DDP
spread      which of them a job takes
sharded     FSDP2, imported only where it is used
memory      predicted and measured
"""
