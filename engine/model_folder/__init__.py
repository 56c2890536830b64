"""Is this folder a model that can be loaded? Read from its files within a second, without torch.

config          config.json: what kind of model it says it is, and whether its numbers can be true
headers         safetensors headers and the index: which tensors are there, and whole
layers          the tensors' names against the config: renamed, quantised, too few, too many
needed_memory   what is free on this machine
check           all of it, in order; the first fault is said
"""
