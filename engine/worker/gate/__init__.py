"""Was it worth it? Both arms fine-tuned and scored: stages baseline and gate.

stage          stages baseline and gate
registration   what will judge, written down first
arm            one arm, seed by seed
arm_files      what an arm has done so far
base_cache     the base's arm across runs
sft            fine-tuning of one seed
schedule       how long it trains, and when it has learnt
sequence       seeds look by look, stop or go on
rates          which learning rate a seed takes
forgetting     losses on generic text, both models
lm_eval        a task of lm-eval as gold set
"""
