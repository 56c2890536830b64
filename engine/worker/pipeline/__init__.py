"""In which order do stages run, and how does a run end?

order        the wanted stages, one after the other
pipeline     what each stage depends on
more_arms    control, checkpoints, recipe
provenance   what is added to the recipe
demo_base    the demo's own base model
"""
