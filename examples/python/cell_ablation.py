"""Which cell? Each kind trained on the same electrocardiogram, as Greff et al. (2017) did for the LSTM's variants."""

from time import perf_counter

import numpy as np
from sklearn.preprocessing import StandardScaler

from pylstm import LSTMRegressor, make_windows
from pylstm.datasets import load_electrocardiogram

CELLS = (
    "lstm",
    "peephole_lstm",
    "coupled_lstm",
    "layernorm_lstm",
    "gru",
    "gru_reset_before",
    "layernorm_gru",
    "rnn",
)
N_TIMESTEPS, HORIZON = 60, 9  # 0.67 s before, 0.1 s ahead
SEEDS = (0, 1)

signal = load_electrocardiogram().signal.reshape(-1, 4).mean(axis=1)  # 360 Hz -> 90 Hz, in mV
scaled = StandardScaler().fit(signal[:21_000, None]).transform(signal[:, None])[:, 0]
X, y = make_windows(scaled, N_TIMESTEPS, horizon=HORIZON)
train, test = slice(0, 20_000, 4), slice(21_600, None)
millivolts = float(np.std(signal[:21_000]))

errors, seconds = {}, {}
print(f"{'cell':>14}  RMSE (mV)  weights  fit (s)")
for cell in CELLS:
    start = perf_counter()
    models = [LSTMRegressor(24, cell=cell, max_iter=6, random_state=seed).fit(X[train], y[train]) for seed in SEEDS]
    seconds[cell] = (perf_counter() - start) / len(SEEDS)
    errors[cell] = [millivolts * float(np.sqrt(np.mean((model.predict(X[test]) - y[test]) ** 2))) for model in models]
    n_weights = sum(array.size for array in models[0].parameters_.values())
    print(f"{cell:>14}  {np.mean(errors[cell]):9.3f}  {n_weights:7}  {seconds[cell]:7.2f}")

try:
    import matplotlib.pyplot as plt
except ImportError:
    print('A picture needs matplotlib: pip install "pylstm[demo]"')
else:
    figure, (left, right) = plt.subplots(1, 2, sharey=True, figsize=(8, 3), layout="constrained")
    rows = np.arange(len(CELLS))
    for seed in range(len(SEEDS)):
        left.plot([errors[cell][seed] for cell in CELLS], rows, "o", color="#0072B2")
    right.barh(rows, [seconds[cell] for cell in CELLS], color="#E69F00")
    left.set(xlabel="Error 100 ms ahead (mV), a dot for each seed", yticks=rows, yticklabels=CELLS)
    left.grid(axis="x", alpha=0.3)
    left.invert_yaxis()
    right.set(xlabel="Time of a fit (s)")
    figure.savefig("cell_ablation.png", dpi=120)
    print("cell_ablation.png: errors and times")
