"""The only package that imports torch; started as ``python -m engine.worker RUN``."""
