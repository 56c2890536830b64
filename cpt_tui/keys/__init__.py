"""Which key does what, and where? Bindings, footer, help and palette are made from it.

key            what a key is, and the places where keys work
of_home        home, and two runs side by side
of_interview   the interview
of_run         a run's screens
everywhere     every list, every screen
registry       all of them, as bindings and as help
"""
