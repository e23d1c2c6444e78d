"""Measurements of pylstm; run from the project's root, see ``benchmarks/README.md``."""
