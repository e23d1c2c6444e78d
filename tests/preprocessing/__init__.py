"""Tests of pylstm.preprocessing."""
