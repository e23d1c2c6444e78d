"""Tests of pylstm, one folder per room of the package."""
