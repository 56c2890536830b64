"""Which text is read, and how? A source into cleaned documents, every byte accounted for.

corpus        a source as documents
mixture       several sources as one corpus
files         which files, opened and unpacked
readers       a file's bytes into rows, one module a format
extent        where a source lies, and how much of it is taken
hub           data sets of the hub
remote        text of elsewhere, fetched once
fields        which columns hold the text
shape         raw text, code, chat, task data?
source_code   code told from prose
line_records  a text whose every line stands for itself
separators    marks between documents, taken as borders
text          cleaning, hashing, cutting
ledger        what was read, what was not, and why
"""
