"""How is text kept as tokens? A source tokenised once, memory-mapped.

store              the files of a tokenised source
build              one pass that makes them
unique_documents   documents not met before
overlap            store and overlap with the gold set, cached
repeats            examples of what repeats
checks             do the stores fit the model?
document_order     which documents, in which order
"""
