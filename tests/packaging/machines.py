"""Examples on other machines: what their programs print, and what Python predicts there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

EXAMPLES = Path(__file__).parents[2] / "examples"

MODEL = EXAMPLES / "cpp" / "sine.safetensors"

ROUNDING = 1e-6
"""Between kernels that fuse multiply-adds and those that do not, and the C library's exp and tanh: a dozen units in the
last place of outputs below 1, over 20 steps; observed 2e-7."""

STEPS = """
import sys
import numpy as np
from pylstm import Stream, load_model

model = load_model(sys.argv[1])
stream = Stream(model)
x = np.frombuffer(sys.stdin.buffer.read(), np.float32).reshape(-1, model.architecture["n_features"])
sys.stdout.buffer.write(b"".join(stream.step(step).tobytes() for step in x))
"""


def run(*command: str | Path, input: bytes | None = None, **environment: str) -> bytes:
    """Run a program and return what it prints."""
    words = [str(word) for word in command]
    done = subprocess.run(words, input=input, env=os.environ | environment, capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return done.stdout


def outputs(x: NDArray[np.float32], isa: str, model: Path = MODEL) -> NDArray[np.float32]:
    """Return what the model's stream gives after each step x, with the kernels of an instruction set ("": the best)."""
    return np.frombuffer(run(sys.executable, "-c", STEPS, model, input=x.tobytes(), PYLSTM_ISA=isa), np.float32)
