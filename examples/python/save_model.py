"""Save a model for programs without Python: examples/cpp/predict.cpp and examples/c/predict.c read this file."""

from pathlib import Path

import numpy as np

from pylstm import LSTMRegressor, load_model, make_windows

N_STEPS = 24
SERIES = Path(__file__).parents[1] / "cpp" / "sine.csv"

series = np.loadtxt(SERIES, skiprows=1, dtype=np.float32)  # near unit variance: the network's inputs as they are
X, y = make_windows(series, n_timesteps=N_STEPS)
model = LSTMRegressor(hidden_size=8, max_iter=30, random_state=0).fit(X, y)
model.save_model("sine.safetensors")

# What C++ does, with NumPy alone: no scikit-learn is imported for it.
again = load_model("sine.safetensors")
print(again.architecture)
window = series[np.newaxis, -N_STEPS:, np.newaxis]
print(f"next value: {again.predict(window)[0]:.9g}")

same = LSTMRegressor.load_model("sine.safetensors")  # an estimator again, parameters and all
assert (same.predict(X) == model.predict(X)).all()
