"""Tests of pylstm.datasets."""
