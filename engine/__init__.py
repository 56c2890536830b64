"""Headless engine of cpt: measure, decide, train, prove. Nothing at this level imports torch."""

__version__ = "0.1.0"
