"""What `verbose` shows while a network learns: a bar where tqdm is installed, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

# Seconds between two plain lines inside one long epoch.
LINE_INTERVAL = 10.0


class Progress(Protocol):
    """What the training loop reports to."""

    @property
    def on_samples(self) -> Callable[[int], None] | None:
        """Takes the number of samples done in the running epoch; None if nobody wants to know."""

    def on_epoch(self, loss: float, validation_loss: float | None) -> None:
        """Report the losses of a finished epoch."""

    def close(self) -> None:
        """Leave the terminal tidy."""


def make_progress(verbose: int, n_epochs: int, n_samples: int) -> Progress:
    """Return nothing to see for 0, tqdm's bar or plain lines for 1, plain lines for more."""
    if verbose == 0:
        return _Silent()
    if verbose == 1:
        try:
            from tqdm.auto import tqdm  # noqa: PLC0415 (optional, and not for the silent)
        except ImportError:
            pass
        else:
            return _Bar(tqdm, n_epochs, n_samples)
    return _Lines(n_epochs, n_samples)


class _Silent:
    on_samples = None

    def on_epoch(self, loss: float, validation_loss: float | None) -> None:
        pass

    def close(self) -> None:
        pass


class _Bar:
    def __init__(self, tqdm: Any, n_epochs: int, n_samples: int) -> None:
        self._n_samples = n_samples
        self._epoch = 0
        layout = "{l_bar}{bar}| {n:.1f}/{total} epochs [{elapsed}<{remaining}{postfix}]"
        self._bar = tqdm(total=n_epochs, bar_format=layout)

    def on_samples(self, done: int) -> None:
        self._bar.update(self._epoch + done / self._n_samples - self._bar.n)

    def on_epoch(self, loss: float, validation_loss: float | None) -> None:
        self._epoch += 1
        self._bar.set_postfix_str(_losses(loss, validation_loss), refresh=False)
        self._bar.update(self._epoch - self._bar.n)

    def close(self) -> None:
        self._bar.close()


class _Lines:
    def __init__(self, n_epochs: int, n_samples: int) -> None:
        self._n_epochs = n_epochs
        self._n_samples = n_samples
        self._epoch = 0
        self._epoch_start = self._last_line = time.monotonic()

    def on_samples(self, done: int) -> None:
        if time.monotonic() - self._last_line >= LINE_INTERVAL:
            self._print(f"{done / self._n_samples:.0%}")

    def on_epoch(self, loss: float, validation_loss: float | None) -> None:
        seconds = time.monotonic() - self._epoch_start
        self._print(f"{_losses(loss, validation_loss)}, {seconds:.2f} s")
        self._epoch += 1
        self._epoch_start = time.monotonic()

    def close(self) -> None:
        pass

    def _print(self, text: str) -> None:
        print(f"epoch {self._epoch + 1}/{self._n_epochs}: {text}", flush=True)
        self._last_line = time.monotonic()


def _losses(loss: float, validation_loss: float | None) -> str:
    text = f"loss {loss:.4g}"
    return text if validation_loss is None else f"{text}, validation {validation_loss:.4g}"
