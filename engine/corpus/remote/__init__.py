"""Text of elsewhere: fetched once, hashed and sealed, and read from the disk.

addresses   files at https://, s3:// and gs://, through fsspec
fetched     the cache: hub data sets and addresses as sealed folders
"""
