"""Which runs are there, and what is done with them? What home shows; no widgets.

listing      all runs, read as they are needed; filter and order
cells        a run as a row of cells
preview      one run on a page
comparison   two runs side by side
orders       after a verdict: arms, finish, export, another verdict
changes      rename, delete, edit a recipe
"""
