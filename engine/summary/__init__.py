"""What happened, in lines? A run for logs, for one page, and as JSON.

findings     what each stage found
gate_lines   the gate in words
log_lines    a line for each event
page         a run on one page
snapshot     screens as plain values
"""
