"""Forecast with its uncertainty: an electrocardiogram 200 ms ahead, as quantiles."""

import numpy as np
from sklearn.metrics import mean_pinball_loss

from pylstm import GRURegressor, make_windows
from pylstm.datasets import load_electrocardiogram

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
N_TIMESTEPS, HORIZON = 90, 18  # 1 s before, 0.2 s ahead

signal = load_electrocardiogram().signal[:72_000].reshape(-1, 4).mean(axis=1)  # 200 s at 90 Hz, in mV
X, y = make_windows(signal[:14_000], N_TIMESTEPS, horizon=HORIZON, stride=2)
X_test, y_test = make_windows(signal[14_000:], N_TIMESTEPS, horizon=HORIZON)

model = GRURegressor(
    32, loss="quantile", quantile=LEVELS, learning_rate="cosine", learning_rate_init=0.01, max_iter=12, random_state=0
)
quantiles = model.fit(X, y).predict_quantiles(X_test)  # (n, 5), never crossing; predict gives the median
print(" level  below  loss (mV)  of a constant")
for level, forecast in zip(LEVELS, quantiles.T, strict=True):
    losses = [
        mean_pinball_loss(y_test, each, alpha=level) for each in (forecast, np.full_like(y_test, np.quantile(y, level)))
    ]
    print(f"{level:6.2f}  {np.mean(y_test < forecast):5.2f}  {losses[0]:9.4f}  {losses[1]:13.4f}")

try:
    import matplotlib.pyplot as plt
except ImportError:
    print('A picture needs matplotlib: pip install "pylstm[demo]"')
else:
    seconds, shown = np.arange(540) / 90, slice(0, 540)
    figure, ax = plt.subplots(figsize=(9, 3.5), layout="constrained")
    for low, high, shade in ((0, 4, 0.2), (1, 3, 0.35)):
        inside = f"{LEVELS[high] - LEVELS[low]:.0%} interval"
        bounds = quantiles[shown, low], quantiles[shown, high]
        ax.fill_between(seconds, *bounds, color="#0072B2", alpha=shade, lw=0, label=inside)
    ax.plot(seconds, quantiles[shown, 2], color="#0072B2", label="Median")
    ax.plot(seconds, y_test[shown], color="black", lw=1, label="Recorded")
    ax.set(xlabel="Time (s)", ylabel="Electrocardiogram (mV)", xlim=(0, 6))
    figure.legend(ncols=4, loc="outside upper center", title="Forecast 200 ms ahead", frameon=False)
    figure.savefig("quantile_forecast.png", dpi=120)
    print("quantile_forecast.png: six seconds of it")
