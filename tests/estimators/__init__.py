"""Tests of pylstm.estimators."""
