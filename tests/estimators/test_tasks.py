"""Real tasks, small: what is learnt is told from what is not."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score, mean_pinball_loss
from sklearn.model_selection import train_test_split

from pylstm import GRUClassifier, GRURegressor, LSTMClassifier, LSTMRegressor, make_windows
from pylstm.datasets import load_electrocardiogram

# Accuracy of the defaults: 0.971 (LSTM) and 0.972 (GRU) on average over seven splits, each within 0.01.
DIGITS = 0.965


def digits(seed):
    images, labels = load_digits(return_X_y=True)
    return train_test_split(images.reshape(-1, 8, 8) / 16, labels, random_state=seed, stratify=labels)


@pytest.mark.parametrize("estimator", [LSTMClassifier, GRUClassifier])
def test_images_of_digits_are_read_row_by_row(estimator):
    scores = []
    for seed in range(3):
        X, X_test, y, y_test = digits(seed)
        scores.append(estimator(random_state=seed).fit(X, y).score(X_test, y_test))
    assert np.mean(scores) >= DIGITS, scores


def test_an_electrocardiogram_is_forecast_better_than_by_a_line():
    signal = load_electrocardiogram().signal[:24_000].reshape(-1, 4).mean(axis=1)
    signal = (signal - signal.mean()) / signal.std()
    X, y = make_windows(signal[:4000], 40, horizon=5)
    X_test, y_test = make_windows(signal[4000:], 40, horizon=5)
    line = Ridge().fit(X[:, :, 0], y).score(X_test[:, :, 0], y_test)
    model = GRURegressor(max_iter=15, random_state=0).fit(X, y)
    assert model.score(X_test, y_test) > line + 0.05


def adding(n_samples, rng):
    """The sum of the two marked numbers of unequally long sequences (Hochreiter & Schmidhuber 1997)."""
    X, y = [], []
    for length in rng.integers(8, 21, size=n_samples):
        values, marks = rng.uniform(size=length), np.zeros(length)
        marks[rng.choice(length, 2, replace=False)] = 1
        X.append(np.stack([values, marks], axis=1))
        y.append(values @ marks)
    return X, np.array(y)


def test_marked_numbers_of_ragged_sequences_are_added():
    rng = np.random.default_rng(0)
    X, y = adding(1200, rng)
    X_test, y_test = adding(300, rng)
    model = LSTMRegressor(learning_rate_init=0.01, max_iter=60, random_state=0).fit(X, y)
    assert model.score(X_test, y_test) > 0.95


def parities(n_samples, rng):
    """Bits, and for every step whether an odd number of them has been 1 so far."""
    X = [rng.integers(2, size=(length, 1)) for length in rng.integers(4, 13, size=n_samples)]
    return X, [np.where(np.cumsum(x[:, 0]) % 2, "odd", "even") for x in X]


def test_every_step_is_labelled_by_what_came_before():
    rng = np.random.default_rng(0)
    X, y = parities(600, rng)
    X_test, y_test = parities(100, rng)
    model = LSTMClassifier(16, learning_rate_init=0.02, max_iter=60, random_state=0).fit(X, y)
    assert model.score(X_test, y_test) > 0.99
    long = rng.integers(2, size=(30, 1))  # longer than any it has seen
    assert (model.predict([long])[0] == np.where(np.cumsum(long) % 2, "odd", "even")).mean() > 0.9


def brackets(n_samples, rng):
    """Sentences of tokens: whether the last bracket that was opened, of two kinds, is a round one."""
    X = [rng.choice(6, size=length, p=[0.1, 0.1, 0.2, 0.2, 0.2, 0.2]) for length in rng.integers(6, 15, size=n_samples)]
    return X, np.array([next((token for token in x[::-1] if token < 2), 2) for x in X])


def test_tokens_are_read():
    rng = np.random.default_rng(0)
    X, y = brackets(600, rng)
    X_test, y_test = brackets(200, rng)
    model = GRUClassifier(16, vocabulary_size=6, embedding_size=8, max_iter=40, random_state=0).fit(X, y)
    assert model.score(X_test, y_test) > 0.97


def rare(n_samples, rng):
    """Noise; one in twenty hides a bump, faint enough to be doubted."""
    X = rng.normal(size=(n_samples, 15, 1))
    y = rng.uniform(size=n_samples) < 0.05
    X[y, 5:9] += 1.2
    return X, y


def test_balanced_weights_find_more_of_what_is_rare():
    rng = np.random.default_rng(0)
    X, y = rare(1500, rng)
    X_test, y_test = rare(1500, rng)
    plain, balanced = (
        LSTMClassifier(8, class_weight=weight, max_iter=15, random_state=0).fit(X, y).predict(X_test)
        for weight in (None, "balanced")
    )
    assert balanced_accuracy_score(y_test, balanced) > balanced_accuracy_score(y_test, plain) + 0.1


def test_quantiles_of_a_noise_that_grows_are_wider_where_it_is_large():
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(1500, 6, 1))
    y = X[:, -1, 0] * rng.normal(size=1500)
    model = LSTMRegressor(8, loss="quantile", quantile=[0.1, 0.5, 0.9], max_iter=40, random_state=0)
    low, _, high = model.fit(X[:1000], y[:1000]).predict_quantiles(X[1000:]).T
    assert np.corrcoef(high - low, X[1000:, -1, 0])[0, 1] > 0.9
    assert ((low < y[1000:]) & (y[1000:] < high)).mean() == pytest.approx(0.8, abs=0.06)
    constant = np.full(500, np.quantile(y[:1000], 0.9))
    assert mean_pinball_loss(y[1000:], high, alpha=0.9) < 0.9 * mean_pinball_loss(y[1000:], constant, alpha=0.9)


def test_counts_are_forecast():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1500, 8, 1))
    mean = np.exp(X[:, -3:, 0].mean(axis=1))
    y = rng.poisson(mean)
    model = GRURegressor(16, loss="poisson", max_iter=40, random_state=0).fit(X[:1000], y[:1000])
    assert np.corrcoef(model.predict(X[1000:]), mean[1000:])[0, 1] > 0.9


def test_the_order_of_steps_is_what_a_table_model_cannot_see():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(900, 12, 1))
    y = (X[np.arange(900), X[:, :, 0].argmax(axis=1) - 1, 0] > 0).astype(int)  # sign of what came before the largest
    model = LSTMClassifier(
        bidirectional=True, pooling="attention", learning_rate_init=0.01, max_iter=60, random_state=0
    )
    line = LogisticRegression().fit(X[:700, :, 0], y[:700]).score(X[700:, :, 0], y[700:])
    assert model.fit(X[:700], y[:700]).score(X[700:], y[700:]) > line + 0.1
