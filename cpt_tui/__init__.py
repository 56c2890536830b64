"""The terminal side of cpt: command line and screens."""
