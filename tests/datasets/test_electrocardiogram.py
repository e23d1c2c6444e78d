"""The electrocardiogram is the recording it says it is."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest

from pylstm.datasets import load_electrocardiogram

SHA256_OF_COUNTS = "45cbec844577d9c7e2117b2011a5d524ab6dd49d93c29f5f5aea690772681b8f"
"""Of the 108,000 counts as little-endian uint16, taken from SciPy's file."""


def test_the_counts_are_those_of_the_source() -> None:
    counts = load_electrocardiogram().signal * 200 + 1024
    assert np.abs(counts - np.rint(counts)).max() < 1e-9
    assert hashlib.sha256(np.rint(counts).astype("<u2").tobytes()).hexdigest() == SHA256_OF_COUNTS


def test_it_is_five_minutes_in_millivolts() -> None:
    recording = load_electrocardiogram()
    assert recording.signal.dtype == np.float64
    assert len(recording.signal) == recording.sampling_rate * 300
    # SciPy's documentation of the same excerpt has these.
    assert recording.signal[:3].tolist() == [-0.245, -0.215, -0.185]
    assert recording.signal.mean() == pytest.approx(-0.16510875, abs=1e-8)
    assert recording.signal.std() == pytest.approx(0.5992473991177294, abs=1e-12)


def test_it_names_source_licence_and_changes() -> None:
    text = load_electrocardiogram().description
    for word in (
        "MIT-BIH",
        "PhysioNet",
        "10.1161/01.CIR.101.23.e215",
        "opendatacommons.org/licenses/by/1-0",
        "Changes",
    ):
        assert word in text


def test_every_call_gives_an_array_of_its_own() -> None:
    first = load_electrocardiogram().signal
    first[:] = 0
    assert load_electrocardiogram().signal.any()


def test_a_recording_cannot_be_changed_by_accident() -> None:
    recording = load_electrocardiogram()
    with pytest.raises(dataclasses.FrozenInstanceError):
        recording.sampling_rate = 90.0  # type: ignore[misc]
    assert repr(recording) == "Recording(108000 values, 300 s at 360 Hz)"


def test_it_needs_neither_scikit_learn_nor_matplotlib(run_python) -> None:
    code = """
import sys
from pylstm.datasets import load_electrocardiogram
load_electrocardiogram()
print(*{"sklearn", "matplotlib"}.intersection(sys.modules))
"""
    assert run_python(code).stdout.split() == []
