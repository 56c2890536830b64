"""Should I? What is measured of this model on this text: stages scan and probe.

scan              stage scan
probe             stage probe
decide            stage decide
fluency           how surprising the text is
pilot             how much of it a short run can learn
surprise          what surprises the most
explain           what the base says of a term
cost              the price before it is paid
"""
