"""Tests of the benchmark programs: that they run, not how fast anything is."""
