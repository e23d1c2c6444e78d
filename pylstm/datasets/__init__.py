"""Small real series shipped with the package; source and licence lie beside each."""

from ._electrocardiogram import Recording, load_electrocardiogram

__all__ = ["Recording", "load_electrocardiogram"]
