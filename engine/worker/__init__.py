"""The worker: the only place that imports torch. ``python -m engine.worker RUN``.

Packages, lowest first; each imports only what stands above it in this list:

job          this process: the log, requests to stop, its place among several
model        which model is it? loading, precision, training method, proven fast paths
step         one optimizer step: rows, loss, optimizer, memory, several processes
tokens       a corpus tokenised once, on disk
packing      documents into rows, both sides mixed; batch k
scoring      what a model says of a text: losses, choices, continuations
measure      should I? stages scan and probe
vocabulary   new tokens: stage extend
train        is it going well? stage train
gate         was it worth it? stages baseline and gate
release      stages finish and export
pipeline     the order of the stages, and how a run ends
doctor       what this machine is
"""
