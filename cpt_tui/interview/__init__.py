"""What is asked, and what becomes of the answer?

draft       the interview on disk
questions   the pages in order
answers     checked, kept, launched
paths        a path as it is typed
owned        the draft as a recipe of one's own
"""
