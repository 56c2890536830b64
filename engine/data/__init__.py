"""Embedded texts, used where the user gives none: generic documents and conversations."""
