"""Do new tokens pay? Vocabulary extension, behind one door: ``stage``.

stage        stage extend
permission   which finished run argues for it
merges       which tokens
tokenizer    the wider tokenizer and model
heldout      loss in bits per byte
training     new rows first
"""
