"""What does a model say of a text? Losses, choices and continuations.

documents    token losses of documents
examples     prompts as token ids
likelihood   how likely each choice is
generate     greedy continuations
gold         scores on a gold set
self_check   do all paths give one number here?
"""
