"""Is it going well? The training loop, and what it says of itself.

stage             stage train
setup             what the loop begins with
loop              the training loop
monitor           steps, evaluations, guard, alarms
checkpoint        kept and verified
lr_pilot          three rates tried
kernels           compile and Liger, compared first
samples           what the model writes
spikes            jumps of loss and gradient
trackers          starts trackers
tracker_process   one tracker's process
"""
