"""How sure is a number? Intervals and tests on arrays of scores and losses.

bootstrap      intervals over documents
crossed_test   two arms, items x seeds
power          the smallest effect that is seen
holm           correction for several tests
prior_matching  answers at given class shares
ranking         centred macro-AUC
alternatives    arms that are shown: a curve, more SFT, merges, worth in examples
"""
