"""How is a number drawn? Characters only.

page     text built line by line
bars     bars, sparklines, scales
chart    lines over steps (the loss chart)
curves   which lines a run has
levels   dashed limits
zoom     which part is looked at
"""
