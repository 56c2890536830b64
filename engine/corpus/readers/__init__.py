"""How is a file format read? One module a format; ``registry`` names them.

registry        the reader of a file
plain_text      text, source code, HTML
jsonl           JSON lines
json_file       JSON files
csv_tsv         tables of text
parquet_arrow   tables of columns
pdf_docx        papers
decoding        bytes into text
encodings       which encoding it is
mojibake        wrongly decoded text
"""
