"""What does a run look like? The numbered panels.

panel           what all have in common
stage_rail      every stage with its state
status_line     where it is and what is left
evidence        what was measured, and the decision
packing         the ledger and seams
training        curves, live
training_text   guard, progress, samples
gate            both arms, seed by seed
question        a page of the interview
path_input     a field that completes paths
machine_row    processor, memory, disk, GPU
"""
