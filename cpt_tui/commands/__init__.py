"""What does a command do? Without a screen where that is possible.

starting        starts and follows workers
follow          lines, snapshots, the list
report          a run's report
cache           what is kept, and clearing it
machine         the doctor's findings
names           runs and recipes by name
process         arguments in order, faults
web             the screens in a browser
"""
