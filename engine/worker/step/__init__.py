"""What is one step of training? Rows in, one update out.

rows        packed rows as tensors
loss        cross-entropy in chunks
optimizer   learning rate and AdamW
step        micro-batches into one update
parallel    DDP and FSDP2
memory      predicted and measured
"""
