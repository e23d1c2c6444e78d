"""Tests of the NumPy functions and of the run-time configuration."""
