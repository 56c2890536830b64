"""Reading: what lies on disk or on the hub to rows of text or records, streaming, memory flat.

A file becomes one or more items (``items``), an item becomes rows (``rows``), and ``Corpus``
makes documents of them. A file that cannot be read is a ``Fault`` with a reason for the ledger.
"""
