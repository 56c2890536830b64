"""What does ``cpt`` open with? The runs of this machine, and what can be done with them.

home       the screen: runs, ready recipes, a preview
runs_table the list of runs, drawn a row at a time
deeds      what its keys do to a run
compare    two marked runs side by side
"""
