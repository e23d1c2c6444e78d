"""Search for the size of a network and its learning rate, several fits at a time."""

from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from pylstm import LSTMRegressor, make_windows
from pylstm.datasets import load_electrocardiogram

if __name__ == "__main__":  # the workers of n_jobs import this file on some systems
    signal = load_electrocardiogram().signal[:72_000].reshape(-1, 4).mean(axis=1)  # 200 s at 90 Hz, in mV
    X, y = make_windows(signal, n_timesteps=60, horizon=9)  # 0.67 s in, 0.1 s ahead
    X = X[:, :, 0]  # (n, 60)

    pipeline = Pipeline([("scale", StandardScaler()), ("lstm", LSTMRegressor(max_iter=10, random_state=0))])
    search = GridSearchCV(
        pipeline,
        {"lstm__hidden_size": [8, 32], "lstm__learning_rate_init": [1e-3, 1e-2]},
        cv=TimeSeriesSplit(n_splits=2, gap=69),
        scoring="neg_root_mean_squared_error",
        n_jobs=2,  # each worker gets its share of the cores
    )
    search.fit(X, y)
    for parameters, score in zip(search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True):
        print(f"RMSE {-score:.3f} mV  {parameters}")
    print("best:", search.best_params_)
