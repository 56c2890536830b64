"""Embedded texts, used where the user gives none."""
