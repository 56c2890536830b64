"""How is text kept as tokens? A source tokenised once, memory-mapped.

store              the files of a tokenised source
encoder            token ids of texts, the fast way where it is proven
byte_pairs         a tiktoken encoding made of a tokenizer's vocabulary and merges
proof_texts        what the two are compared on
build              one pass that makes them
unique_documents   documents not met before
overlap            store and overlap with the gold set, cached
repeats            examples of what repeats
checks             do the stores fit the model?
document_order     which documents, in which order
"""
