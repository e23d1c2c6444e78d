"""Cross-validate a forecast: an electrocardiogram, 100 ms ahead, by a scikit-learn pipeline."""

from sklearn.linear_model import Ridge
from sklearn.model_selection import TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pylstm import LSTMRegressor, make_windows
from pylstm.datasets import load_electrocardiogram

N_TIMESTEPS = 60  # 0.67 s
HORIZON = 9  # 0.1 s

signal = load_electrocardiogram().signal.reshape(-1, 4).mean(axis=1)  # 360 Hz -> 90 Hz, in mV
X, y = make_windows(signal, N_TIMESTEPS, horizon=HORIZON)
X = X[:, :, 0]  # (n, 60): one feature per step, a shape that every scikit-learn tool knows

models = {
    "ridge": make_pipeline(StandardScaler(), Ridge()),
    "LSTM": make_pipeline(StandardScaler(), LSTMRegressor(hidden_size=32, max_iter=8, random_state=0)),
}
# Train on the past, test on what follows; the gap keeps windows of the one from reaching into the other.
splits = TimeSeriesSplit(n_splits=3, gap=N_TIMESTEPS + HORIZON)
for name, model in models.items():
    errors = -cross_val_score(model, X, y, cv=splits, scoring="neg_root_mean_squared_error")
    print(f"{name:>6}: RMSE {errors.mean():.3f} mV, by fold " + ", ".join(f"{error:.3f}" for error in errors))
