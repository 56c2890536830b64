"""Which files are read? Found, opened, unpacked and hashed.

listing   the files of a path or glob
kinds     which reader a name asks for
companions    what lies beside the texts
streams   opened and unpacked, counted
members   a file itself, or the members of an archive
seals     cached folders, sealed and looked at
digests   hashes that are remembered
"""
