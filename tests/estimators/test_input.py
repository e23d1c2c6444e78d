"""Which data are accepted, and what is said about those that are not."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from pylstm import LSTMClassifier, LSTMRegressor

from .data import same_bits, waves

N, T, F = 40, 6, 2


@pytest.fixture
def data():
    return waves(N, T, F)


def regressor(**parameters):
    return LSTMRegressor(**{"hidden_size": 4, "max_iter": 2, "random_state": 0} | parameters)


def test_flat_rows_hold_the_features_step_by_step(data):
    X, y = data
    deep, flat = regressor(), regressor(n_timesteps=T)
    deep.fit(X, y)
    flat.fit(X.reshape(N, T * F), y)
    assert same_bits(deep, flat)
    assert (deep.n_features_in_, flat.n_features_in_) == (F, T * F)
    assert deep.n_features_per_step_ == flat.n_features_per_step_ == F
    np.testing.assert_array_equal(deep.predict(X), flat.predict(X.reshape(N, T * F)))


def test_columns_are_steps_of_one_feature_by_default(data):
    X, y = data
    assert same_bits(regressor().fit(X[:, :, 0], y), regressor().fit(X[:, :, :1], y))


def test_a_network_reads_flat_and_deep_sequences_whatever_it_was_fitted_on(data):
    X, y = data
    flat, deep = X[:, :, 0], X[:, :, :1]
    for model in (regressor().fit(flat, y), regressor().fit(deep, y)):
        np.testing.assert_array_equal(model.predict(flat), model.predict(deep))


def test_deep_sequences_may_have_another_length_than_in_fit(data):
    X, y = data
    assert regressor().fit(X, y).predict(X[:, 2:]).shape == (N,)


@pytest.mark.parametrize(
    "lay_out",
    [
        np.asfortranarray,
        lambda X: X[::-1].copy()[::-1],
        lambda X: np.repeat(X, 2, axis=2)[:, :, ::2],
        lambda X: np.ascontiguousarray(X.transpose(1, 0, 2)).transpose(1, 0, 2),
        lambda X: X.astype(X.dtype.newbyteorder()),
        lambda X: np.frombuffer(b"\0" + X.tobytes(), np.uint8)[1:].view(X.dtype).reshape(X.shape),
        lambda X: X.tolist(),
    ],
    ids=["fortran", "negative", "gaps", "time-major", "byte-swapped", "unaligned", "list"],
)
def test_the_layout_of_X_does_not_matter(data, lay_out):
    X, y = data
    X = X.copy()
    assert same_bits(regressor().fit(lay_out(X), y), regressor().fit(X, y))


def test_single_precision_in_is_single_precision_out(data):
    X, y = data
    for dtype, given, returned in [
        ("float32", np.float32, np.float32),
        ("float32", np.float64, np.float64),
        ("float64", np.float32, np.float64),
        ("float64", np.float64, np.float64),
        ("float32", np.int64, np.float64),
    ]:
        model = regressor(dtype=dtype).fit(X.astype(given), y)
        assert model.predict(X.astype(given)).dtype == returned


def test_float64_is_finer_than_float32(data):
    X, y = data
    single, double = regressor().fit(X, y), regressor(dtype=np.float64).fit(X, y)
    assert double.parameters_["head.weight"].dtype == np.float64
    difference = np.abs(single.predict(X) - double.predict(X))
    assert 0 < difference.max() < 1e-2


@pytest.mark.parametrize("dtype", [np.float16, np.int8, np.uint64, bool, object, np.longdouble])
def test_other_real_types_are_converted(data, dtype):
    X, y = data
    whole = np.round(X).clip(0, 1)
    assert same_bits(regressor().fit(whole.astype(dtype), y), regressor().fit(whole, y))


def test_nothing_is_written_to_and_read_only_data_are_fine(data):
    X, y = (array.copy() for array in data)
    weight = np.linspace(0, 1, N)
    copies = [array.copy() for array in (X, y, weight)]
    for array in (X, y, weight):
        array.flags.writeable = False
    regressor().fit(X, y, weight).predict(X)
    for array, copy in zip((X, y, weight), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")])
def test_a_number_that_is_not_finite_is_found(data, value, word):
    X, y = data
    bad = X.copy()
    bad[7, 3, 1] = value
    place = rf"Input X contains {word}: row 7, step 3, feature 1"
    with pytest.raises(ValueError, match=place):
        regressor().fit(bad, y)
    model = regressor().fit(X, y)
    with pytest.raises(ValueError, match=place):
        model.predict(bad)
    with pytest.raises(ValueError, match=place.replace("X", "X_val")):
        regressor().fit(X, y, X_val=bad, y_val=y)
    with pytest.raises(ValueError, match=place):
        regressor(n_timesteps=T).fit(bad.reshape(N, -1), y)


def test_the_row_is_right_far_into_a_large_array():
    X = np.zeros((3000, 500, 1), np.float32)  # looked at in two pieces
    X[2999, 499, 0] = np.nan
    with pytest.raises(ValueError, match=r"Input X contains NaN: row 2999, step 499, feature 0"):
        regressor().fit(X, np.zeros(3000))


def test_a_target_that_is_not_finite_is_found(data):
    X, y = data
    bad = np.stack([y, y], axis=1)
    bad[5, 1] = np.nan
    with pytest.raises(ValueError, match=r"Input y contains NaN: row 5, output 1"):
        regressor().fit(X, bad)


def test_a_weight_that_is_not_finite_is_found(data):
    weight = np.ones(N)
    weight[5] = np.inf
    with pytest.raises(ValueError, match=r"Input sample_weight contains infinity: row 5"):
        regressor().fit(*data, weight)


def test_a_number_too_large_for_the_engine_is_found(data):
    X, y = data
    large = X.copy()
    large[1, 2, 0] = 1e300
    with pytest.raises(ValueError, match=r"1e\+300, too large for float32: row 1, step 2, feature 0"):
        regressor().fit(large, y)
    regressor(dtype="float64").fit(large, y)


def test_wrong_shapes_of_X_are_named(data):
    X, y = data
    expected = r"expected \(n_samples, n_steps, n_features\) or \(n_samples, n_columns\)"
    for bad in (X[..., np.newaxis], X[:, :0], X[:, :, :0]):
        with pytest.raises(ValueError, match=expected):
            regressor().fit(bad, y)
    with pytest.raises(ValueError, match=r"X has shape \(40, 11\), expected a multiple of 6 columns"):
        regressor(n_timesteps=T).fit(X.reshape(N, -1)[:, 1:], y)
    with pytest.raises(ValueError, match="Reshape your data"):
        regressor().fit(y, y)


def test_wrong_shapes_of_y_are_named(data):
    X, y = data
    for bad in (y[1:], np.stack([y] * 3).reshape(N, 3, 1), y[:, np.newaxis][:, :0]):
        with pytest.raises(ValueError, match=r"y has shape \(.*\), expected \(40,\) or \(40, n_outputs\)"):
            regressor().fit(X, bad)
    with pytest.raises(ValueError, match="y_val has 2 outputs, expected 1"):
        regressor().fit(X, y, X_val=X, y_val=np.stack([y, y], axis=1))


def test_wrong_weights_are_named(data):
    X, y = data
    with pytest.raises(ValueError, match=r"sample_weight has shape \(40, 1\), expected \(40,\)"):
        regressor().fit(X, y, np.ones((N, 1)))
    with pytest.raises(ValueError, match=r"sample_weight is -1.0 at row 3"):
        regressor().fit(X, y, np.where(np.arange(N) == 3, -1.0, 1.0))
    with pytest.raises(ValueError, match="sample_weight sums to zero"):
        regressor().fit(X, y, np.zeros(N))
    with pytest.raises(ValueError, match="sample_weight sums to infinity"):
        regressor().fit(X, y, np.full(N, 1e308))


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (np.zeros((N, T, F), complex), ValueError, "Complex data not supported"),
        (np.full((N, T, F), "a"), ValueError, "strings"),
        (np.full((N, T, F), "a", object), ValueError, "could not convert string"),
        (np.zeros((N, T, F), "M8[s]"), TypeError, r"X has dtype datetime64\[s\], expected real numbers"),
    ],
    ids=["complex", "string", "object", "datetime"],
)
def test_data_that_are_not_real_numbers_are_refused(data, bad, error, message):
    with pytest.raises(error, match=message):
        regressor().fit(bad, data[1])


def test_another_number_of_features_is_refused(data):
    X, y = data
    deep = regressor().fit(X, y)
    with pytest.raises(ValueError, match="X has 1 features per step, but LSTMRegressor is expecting 2 features"):
        deep.predict(X[:, :, :1])
    with pytest.raises(ValueError, match="X has 1 features per step"):
        deep.predict(X[:, :, 0])
    flat = regressor().fit(X[:, :, 0], y)
    with pytest.raises(ValueError, match="X has 5 features, but LSTMRegressor is expecting 6 features as input"):
        flat.predict(X[:, 1:, 0])


def test_validation_data_come_together(data):
    X, y = data
    with pytest.raises(ValueError, match="y_val is None, expected X_val and y_val together"):
        regressor().fit(X, y, X_val=X)
    with pytest.raises(ValueError, match="X_val is None, expected X_val and y_val together"):
        regressor().fit(X, y, y_val=y)


def test_an_unfitted_estimator_says_so(data):
    with pytest.raises(NotFittedError):
        regressor().predict(data[0])
    with pytest.raises(NotFittedError):
        _ = regressor().parameters_


@pytest.mark.parametrize(
    ("parameter", "value", "error"),
    [
        ("hidden_size", 0, "hidden_size is 0, expected at least 1"),
        ("hidden_size", 1.5, "hidden_size is 1.5, expected an integer"),
        ("hidden_size", True, "hidden_size is True, expected an integer"),
        ("hidden_size", "32", "hidden_size is '32', expected an integer or a sequence of integers"),
        ("hidden_size", np.array(4.0), r"hidden_size is array\(4.\), expected an integer or a sequence of integers"),
        ("hidden_size", [], r"hidden_size is \[\], expected an integer or a sequence of at least one"),
        ("hidden_size", [4, 0], r"hidden_size\[1\] is 0, expected at least 1"),
        ("hidden_size", (4.5,), r"hidden_size\[0\] is 4.5, expected an integer"),
        ("hidden_size", 10**30, "hidden_size is 10*, expected at most"),
        ("hidden_size", [4, 10**30], r"hidden_size\[1\] is 10*, expected at most"),
        ("bidirectional", 1, "bidirectional is 1, expected True or False"),
        ("pooling", "sum", "pooling is 'sum', expected one of 'last', 'mean', 'max'"),
        ("pooling", None, "pooling is None, expected one of 'last', 'mean', 'max'"),
        ("num_layers", 0, "num_layers is 0"),
        ("num_layers", 10**30, "num_layers is 10*, expected at most 1000"),
        ("dropout", 1.0, r"dropout is 1.0, expected a real number in \[0, 1\)"),
        ("dropout", "much", "dropout is 'much', expected a real number"),
        ("n_timesteps", 0, "n_timesteps is 0"),
        ("solver", "lbfgs", "solver is 'lbfgs', expected one of 'adam', 'adamw', 'sgd', 'rmsprop'"),
        ("alpha", -1e-9, "alpha is -1e-09"),
        ("alpha", np.nan, "alpha is nan"),
        ("alpha", "much", "alpha is 'much', expected a real number in .* or 'auto'"),
        ("batch_size", 0, "batch_size is 0"),
        ("batch_size", 10**30, "batch_size is 10*, expected at most"),
        ("tbptt_steps", 10**30, "tbptt_steps is 10*, expected at most"),
        ("scoring", {"a": "r2"}, r"scoring is {'a': 'r2'}, expected one scorer: a name or a function"),
        ("scoring", ["r2"], r"scoring is \['r2'\], expected one scorer"),
        ("learning_rate_init", 0.0, r"learning_rate_init is 0.0, expected a real number in \(0, inf\)"),
        ("learning_rate_init", np.inf, "learning_rate_init is inf"),
        ("max_iter", 0, "max_iter is 0"),
        ("shuffle", 1, "shuffle is 1, expected True or False"),
        ("random_state", "dice", "dice"),
        ("tol", -1.0, "tol is -1.0"),
        ("n_iter_no_change", 0, "n_iter_no_change is 0"),
        ("n_iter_no_change", "never", "n_iter_no_change is 'never', expected an integer or 'auto'"),
        ("early_stopping", "auto", "early_stopping is 'auto'"),
        ("validation_fraction", 1.0, r"validation_fraction is 1.0, expected a real number in \(0, 1\)"),
        ("max_grad_norm", 0.0, "max_grad_norm is 0.0"),
        ("momentum", 1.0, "momentum is 1.0"),
        ("nesterovs_momentum", None, "nesterovs_momentum is None"),
        ("beta_1", 1.0, "beta_1 is 1.0"),
        ("beta_2", 1.0, "beta_2 is 1.0"),
        ("epsilon", 0.0, "epsilon is 0.0"),
        ("rho", 1.0, "rho is 1.0"),
        ("dtype", "float16", "dtype is 'float16', expected 'float32' or 'float64'"),
        ("dtype", None, "dtype is None"),
        ("dtype", np.dtype("f4").newbyteorder(), "dtype is .*, expected 'float32' or 'float64'"),
        ("warm_start", "yes", "warm_start is 'yes'"),
        ("verbose", -1, "verbose is -1"),
    ],
)
def test_a_bad_parameter_is_named_by_fit(data, parameter, value, error):
    model = regressor(**{parameter: value})
    with pytest.raises((TypeError, ValueError), match=error):
        model.fit(*data)
    with pytest.raises((TypeError, ValueError), match=error):
        model.set_params(early_stopping=model.early_stopping).partial_fit(*data)


def test_an_impossible_network_is_an_error_and_not_a_crash(data):
    with pytest.raises((ValueError, MemoryError, OverflowError)):
        regressor(hidden_size=2**40).fit(*data)


def spoil_X(X, y, weight):
    return np.where(X[5, 0, 0] == X, np.nan, X), y, weight


def spoil_y(X, y, weight):
    return X, np.where(y == y[5], np.inf, y), weight


def spoil_weight(X, y, weight):
    return X, y, -weight


def change_shape(X, y, weight):
    return X[:, :, :1], y[:-1], weight


@pytest.mark.parametrize("spoil", [spoil_X, spoil_y, spoil_weight, change_shape])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_fit_that_fails_leaves_the_estimator_as_it_was(data, spoil, method):
    X, y = data
    model = regressor().fit(X, y)
    before, predicted = dict(vars(model)), model.predict(X)
    with pytest.raises(ValueError, match=r"X|y|sample_weight"):
        getattr(model, method)(*spoil(X, y, np.ones(N)))
    assert vars(model) == before
    np.testing.assert_array_equal(model.predict(X), predicted)


def test_a_first_fit_that_fails_leaves_nothing_behind(data):
    X, y = data
    model = regressor()
    with pytest.raises(ValueError, match="Input y"):
        model.fit(*spoil_y(X, y, None))
    assert vars(model).keys() == model.get_params().keys()


def test_misaligned_numbers_are_read_in_lists_as_in_arrays(data):
    X, y = data
    model = regressor().fit(X, y)
    moved = np.frombuffer(b"x" + X.astype(np.float64).tobytes(), np.float64, offset=1).reshape(X.shape)
    assert not moved.flags.aligned
    expected = model.predict(X.astype(np.float64))
    np.testing.assert_array_equal(model.predict(moved), expected)
    np.testing.assert_array_equal(model.predict(list(moved)), expected)


@pytest.mark.parametrize("empty", [[], ()])
def test_no_sequences_at_all_are_named(data, empty):
    model = regressor()
    with pytest.raises(ValueError, match=r"^X is empty, expected at least one sequence$"):
        model.fit(empty, empty)
    with pytest.raises(ValueError, match=r"^X is empty, expected at least one sequence$"):
        model.fit(*data).predict(empty)


def test_tables_in_a_list_have_the_same_columns_as_in_fit(data):
    pd = pytest.importorskip("pandas")
    X, y = data
    names = [f"channel {i}" for i in range(X.shape[2])]
    tables = [pd.DataFrame(x, columns=names) for x in X]
    model = regressor().fit(tables, y)
    assert model.feature_names_in_.tolist() == names
    np.testing.assert_array_equal(model.predict(tables), regressor().fit(list(X), y).predict(list(X)))
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict([table[names[::-1]] for table in tables])
    with pytest.raises(ValueError, match=r"X\[1\] has the columns .*, expected .* \(as X\[0\]\)"):
        model.predict([tables[0], tables[1][names[::-1]], *tables[2:]])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(list(X))


@pytest.mark.parametrize("per_step", [False, True])
def test_targets_that_the_type_rounds_away_are_noticed(data, per_step):
    X, y = data
    y = np.stack([y] * X.shape[1], axis=1)[..., np.newaxis] if per_step else y
    with pytest.warns(UserWarning, match=r"y is about 1.7e\+09 and varies by .*, of which float32 loses much"):
        regressor(max_iter=1).fit(X, 1.7e9 + 60 * y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        regressor(max_iter=1, dtype="float64", tol=None).fit(X, 1.7e9 + 60 * y)
        regressor(max_iter=1, tol=None).fit(X, 1e3 + y)
        regressor(max_iter=1, tol=None).fit(X, np.full_like(y, 1.7e9))


def test_tokens_are_no_more_than_numbers_of_the_type():
    X, y = np.array([[2**24 - 1, 3], [5, 2]]), [1.0, 2.0]
    model = regressor(vocabulary_size=2**24 + 1, embedding_size=1, max_iter=1)
    with pytest.raises(ValueError, match="vocabulary_size is 16777217, expected at most 16777216"):
        model.fit(X, y)
    assert model.set_params(vocabulary_size=2**24).fit(X, y).predict(X).shape == (2,)


def test_strings_of_numpy_are_labels_not_sequences():
    X, _ = waves(20)
    labels = np.array(list(np.array(["rises", "falls"] * 10)), object)
    assert set(LSTMClassifier(2, max_iter=1).fit(X, labels).predict(X)) <= {"rises", "falls"}
