"""Model files, and trained models that need NumPy alone."""

from ._errors import ModelFormatError
from ._model import Model, load_model

__all__ = ["Model", "ModelFormatError", "load_model"]
