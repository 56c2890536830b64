"""How is a number drawn? Characters only.

page     text built line by line
markdown Markdown as text
bars     bars, sparklines, scales
chart    lines over steps (the loss chart)
curves   which lines a run has
levels   dashed limits
bands    a curve against two limits, a row a band
zoom     which part is looked at
changed_cells  only cells that differ are written
"""
