"""How much of the text is new, and clean? Repeats, boilerplate, odd words, languages, overlap.

shingles          words as numbers, hashes of runs
near_duplicates   documents that are nearly the same
boilerplate       lines that many documents share
odd_words         marks of OCR noise
languages         which languages
text_edits        what a recipe asks to change in every text
special_strings   special tokens spelt out in the text
text_quality      all of these for one side
word_order        is the order of the words worth anything
passages          what came word for word before
heldout_leaks     held-out text that is trained on
contamination     gold items that stand in the corpus
"""
