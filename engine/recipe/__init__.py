"""What does the user want? The recipe as a validated model, and as TOML.

base           what a section is made of
sections       every section but the gate's, and the whole recipe
sources        a side's text, of one source or of several
generic_families   generic text by the base's family
adapters       the sections on adapters and new tokens
gate           the sections on the gate and on stage two
registered     a gate as its run registered it
method_facts   the training methods: names, words, rates
defaults       learning rates and LoRA ranks by size
seal           the recipe's own hashes: is it as written, which answers does it hold
toml           reads and writes TOML; every fault with key and line
schema         writes recipes/schema.json
written        a recipe as people read it: its reference, every value spelled out
"""
