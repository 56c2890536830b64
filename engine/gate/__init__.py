"""Was it worth it? Scores of two arms into EARNED, TIE or HURT.

judge        the verdict from both arms' scores
recheck      whether a kept verdict is what its scores give
forgetting   the guard: what generic text lost
chat_guard   the same for the answers of a chat model
secondary    results by tag and item, beside the verdict
tries        who asked this gold set before
arms         more arms: control, checkpoints, recipe
items        each item with its text and scores
wording      the verdict in a sentence
outcome      what two arms' tests say
looks        when the gate looks, what a look decides, which seeds come next
promise      what the gate can show, before compute is spent
"""
