"""What is a run, and how is it going? Its folder, its log, and what viewers make of them.

run           the folder: artifacts, requests, lock, list of runs
events        typed events, read from a log
event_log     their writer
typed_fields  whether the fields of an event are of their types
view          events folded into what a screen shows
series        a curve that stays small
history       the log as it grows
index         a fold kept beside the log
launch        starts a worker, asks things of it
"""
