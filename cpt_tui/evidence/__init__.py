"""What does the evidence look like? One drawing for each noun of the decision tree.

drawer      what the drawings take
drawings    which drawing a node of the tree has
shape       the kinds of data found
size        tokens that count, and those that were dropped
quality     repeats, boilerplate, odd words, languages
surprise    the base's loss on both sides
fertility   what a word costs in tokens
terms       what the base says of a term
gate        what the gold set can show
cost        the price on this machine
"""
