"""In which order do stages run, and how does a run end?

order        the stages, one after the other
provenance   what is added to the recipe
alternatives   arms that are shown: a curve, more SFT, merges
more_arms    stage arms: control, checkpoints, recipe
arm_plan     which arms a recipe asks for
demo_base    the demo's own base model
"""
