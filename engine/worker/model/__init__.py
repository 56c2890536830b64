"""Which model is it, and how is it trained? Loading, precision, method, proven fast paths.

job          context, models and artifacts of a run
base         finds, checks, loads and saves a model
weights      are the tensors on disk those that the config describes?
identity     what a base is made of, part by part, and whether it changed
rehearsal    what the end of a run saves, saved at its start
methods      full, LoRA and its variants; merging
chat         was the base trained to chat?
embeddings   finds embeddings and head
precision    the dtype, chosen and kept
fast_paths   which shortcuts were proven here
document_attention  attention to each packed document by itself
proof        logits that a reload must give
"""
