"""The screens and the command line: files in, text out; no torch, no numpy at the start.

Packages, lowest first; each imports only what stands above it in this list:

safe terminal keys glossary    text of strangers cleaned; what the terminal can; keys; terms
feed log_end                   a run's log as it grows, and what its end says
run_list                       one run as lists tell it
drawing                        bars, charts, curves and pages of text
evidence                       one drawing for each node of the decision tree
interview                      the draft, its questions and answers
workspace                      all runs: filter, order, preview, comparison, changes
panels                         the numbered panels of a run, and the page of a question
screens                        what stands in front: home, interview, run, report, help
app                            opens the screens
commands                       the work of the commands
cli                            the commands and their options
"""
