"""Five minutes of an electrocardiogram."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import as_file, files

import numpy as np

from pylstm.typing import FloatArray

ADC_ZERO = 1024
"""Count of 0 mV."""

ADC_GAIN = 200.0
"""Counts per mV."""


@dataclass(frozen=True, eq=False)
class Recording:
    """A signal sampled at equal intervals.

    Attributes
    ----------
    signal : ndarray of shape (n,), float64
        Values in the unit that the loader names.
    sampling_rate : float
        Values per second, in Hz.
    description : str
        Source, references and licence, in Markdown.
    """

    signal: FloatArray
    sampling_rate: float
    description: str

    def __repr__(self) -> str:
        """Name the numbers, not the description."""
        seconds = len(self.signal) / self.sampling_rate
        return f"Recording({len(self.signal)} values, {seconds:g} s at {self.sampling_rate:g} Hz)"


def load_electrocardiogram() -> Recording:
    """Load five minutes of an electrocardiogram with frequent premature ventricular beats.

    Returns
    -------
    Recording
        ``signal`` in mV, 108,000 values, a new array at each call; ``sampling_rate`` 360 Hz; ``description``.

    Notes
    -----
    Record 208 of the MIT-BIH Arrhythmia Database [1]_ on PhysioNet [2]_, lead MLII, 19:35 to 24:35: the excerpt known
    as ``scipy.datasets.electrocardiogram``. Made available under the Open Data Commons Attribution License v1.0. Values
    are multiples of 5 uV: 11 bits over 10 mV.

    References
    ----------
    .. [1] G. B. Moody and R. G. Mark, "The impact of the MIT-BIH Arrhythmia Database", IEEE Engineering in Medicine and
       Biology Magazine 20(3), 2001.
    .. [2] A. L. Goldberger et al., "PhysioBank, PhysioToolkit, and PhysioNet: components of a new research resource for
       complex physiologic signals", Circulation 101(23), 2000.

    Examples
    --------
    >>> from pylstm.datasets import load_electrocardiogram
    >>> recording = load_electrocardiogram()
    >>> recording
    Recording(108000 values, 300 s at 360 Hz)
    >>> recording.signal[:3]
    array([-0.245, -0.215, -0.185])
    """
    folder = files(__package__)
    with as_file(folder / "electrocardiogram.npz") as path, np.load(path, allow_pickle=False) as archive:
        counts = archive["counts"].astype(np.float64)
    description = (folder / "electrocardiogram.md").read_text(encoding="utf-8")
    return Recording((counts - ADC_ZERO) / ADC_GAIN, 360.0, description)
