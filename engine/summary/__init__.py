"""What happened, in lines? A run for logs, for one page, and as JSON.

findings     what each stage found
gate_lines   the gate in words
log_lines    a line for each event
page         a run on one page
remaining    how far a stage is, and what is left in all
snapshot     screens as plain values
"""
