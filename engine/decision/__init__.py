"""Should I? Evidence and answers into GO, NO-GO or NOT YET.

tree           every question in order, as data
decide         walks the tree and gives the verdict
case           what a rule takes and gives
corpus_rules   rules on the text: what hurts, shape, size
base_rules     rules on the model: surprise, fertility, terms
gate_rules     rules on goal and gate
mix_back       the rule on generic text, and its arithmetic
plan_rules     rules on method, length and cost
drawing        the tree as text
"""
