"""What is shipped? Stages finish and export.

finish   the task model
replay   generic text during SFT
export   the folder to ship, with its proof
reload   a fresh process loads it
"""
