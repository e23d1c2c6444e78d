"""Train with NumPy alone: forward, loss, backward and Adam by hand; a gradient checked; then one step at a time."""

import numpy as np

from pylstm import lstm_backward, lstm_forward, lstm_step, make_windows
from pylstm.datasets import load_electrocardiogram

H = 16  # hidden units
rng = np.random.default_rng(0)
signal = load_electrocardiogram().signal.reshape(-1, 4).mean(axis=1)  # 90 Hz, in mV
X, y = make_windows(signal, n_timesteps=60, horizon=9)  # X (n, 60, 1), y (n,): 0.1 s ahead
n_train = len(X) * 4 // 5

parameters = {
    "weight_ih": rng.uniform(-1, 1, (4 * H, 1)) / np.sqrt(H),  # gates i, f, g, o
    "weight_hh": rng.uniform(-1, 1, (4 * H, H)) / np.sqrt(H),
    "bias": np.repeat([0.0, 1.0, 0.0, 0.0], H),  # forget gates start open
    "head": rng.uniform(-1, 1, H) / np.sqrt(H),
}


def loss_and_gradients(p, x, target):
    """Mean squared error of h_n @ head, and its gradient with respect to each parameter."""
    out = lstm_forward(x, p["weight_ih"], p["weight_hh"], p["bias"], training=True)
    error = out.h_n @ p["head"] - target  # (N,)
    dprediction = 2 * error / len(error)
    g = lstm_backward(out.tape, dh_n=np.outer(dprediction, p["head"]))
    gradients = {"weight_ih": g.weight_ih, "weight_hh": g.weight_hh, "bias": g.bias, "head": out.h_n.T @ dprediction}
    return np.mean(error**2), gradients


# The largest gradient of a recurrent weight, and the same by central differences.
x, target, step = X[:8], y[:8], 1e-5
gradient = loss_and_gradients(parameters, x, target)[1]["weight_hh"]
where = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
losses = []
for sign in (1, -1):
    moved = parameters["weight_hh"].copy()
    moved[where] += sign * step
    losses.append(loss_and_gradients({**parameters, "weight_hh": moved}, x, target)[0])
numeric = (losses[0] - losses[1]) / (2 * step)
print(f"gradient {gradient[where]:.9f}, by differences {numeric:.9f}")
assert abs(gradient[where] / numeric - 1) < 1e-6

# Adam (Kingma & Ba 2015) on random batches.
first = {name: np.zeros_like(value) for name, value in parameters.items()}
second = {name: np.zeros_like(value) for name, value in parameters.items()}
for t in range(1, 1501):
    batch = rng.integers(n_train, size=64)
    loss, gradients = loss_and_gradients(parameters, X[batch], y[batch])
    for name, g in gradients.items():
        first[name] += 0.1 * (g - first[name])
        second[name] += 0.001 * (g**2 - second[name])
        parameters[name] -= 0.005 * (first[name] / (1 - 0.9**t)) / (np.sqrt(second[name] / (1 - 0.999**t)) + 1e-8)
    if t % 500 == 0:
        print(f"update {t}: loss of its batch {loss:.3f} mV^2")

head = parameters.pop("head")
X_test, y_test = make_windows(signal[n_train:], n_timesteps=60, horizon=9)
forecast = lstm_forward(X_test, **parameters).h_n @ head
rmse, naive = np.sqrt(np.mean((forecast - y_test) ** 2)), np.sqrt(np.mean((X_test[:, -1, 0] - y_test) ** 2))
print(f"held-out RMSE {rmse:.3f} mV, last value {naive:.3f} mV")

# The same network fed value by value, as from a sensor: the same bits.
h = c = np.zeros((1, H))
for value in X_test[0]:
    h, c = lstm_step(value[np.newaxis], h, c, **parameters)
print("step by step equals the whole window:", bool((h == lstm_forward(X_test[:1], **parameters).h_n).all()))
