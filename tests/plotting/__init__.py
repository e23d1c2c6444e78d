"""Tests of pylstm.plotting."""
