"""Where is a batch formed? Documents into rows, both sides mixed, batch k by arithmetic.

best_fit   which row a document goes into
packs      writes and maps the rows
batches    which rows batch k is made of
stage      stage pack, with its ledger
"""
