"""What may be shipped? The policy, the model card, and the push.

policy       which model a verdict lets you ship
model_card   the README of an export
push         to the hub
"""
