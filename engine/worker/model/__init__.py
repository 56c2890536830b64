"""Which model is it, and how is it trained? Loading, precision, method, proven fast paths.

job          context, models and artifacts of a run
base         finds, checks, loads and saves a model
methods      full, LoRA and its variants; merging
embeddings   finds embeddings and head
precision    the dtype, chosen and kept
fast_paths   which shortcuts were proven here
proof        logits that a reload must give
"""
