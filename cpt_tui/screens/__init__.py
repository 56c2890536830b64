"""What stands in front? One module a screen.

base             what all screens share
home             runs and recipes: a package
interview        questions and keys
interview_view   how the interview is drawn
run              one run, four panels
control          stop, pause, checkpoint
next_steps       after the verdict
confirm          small dialogs
items            the gate's items
report           the report
traceback        why a run failed
glossary         terms
help             keys
"""
