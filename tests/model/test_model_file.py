"""What is saved comes back with every bit: as an estimator, as a model that needs NumPy alone, and to safetensors."""

from __future__ import annotations

import json
import os
import pickle
import stat
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import pylstm
from pylstm import GRURegressor, LSTMClassifier, LSTMRegressor, ModelFormatError, load_model
from pylstm.model import _container, _document

from .models import PARAMETERS, fitted, inputs, name_of

SAME_FITTED = (
    "n_features_in_",
    "n_features_per_step_",
    "n_outputs_",
    "n_iter_",
    "best_loss_",
    "loss_curve_",
    "validation_loss_curve_",
    "validation_scores_",
)


def saved(model, tmp_path):
    path = tmp_path / "model.safetensors"
    model.save_model(path)
    return path


@pytest.mark.parametrize("parameters", PARAMETERS, ids=name_of)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predictions_are_the_same_bits(parameters, dtype, tmp_path):
    model = fitted(**parameters, dtype=dtype)
    path = saved(model, tmp_path)
    X = inputs().astype(dtype)
    expected = model.predict(X)
    for again in (LSTMRegressor.load_model(path), load_model(path)):
        np.testing.assert_array_equal(again.predict(X), expected)
        assert again.predict(X).dtype == expected.dtype == dtype


def test_the_estimator_is_what_it_was(tmp_path):
    model = fitted(
        hidden_size=(4, 3), n_outputs=2, early_stopping=True, dropout=0.5, learning_rate_init=1e-2, alpha=1e-4
    )
    again = LSTMRegressor.load_model(saved(model, tmp_path))
    assert {**again.get_params(), "hidden_size": (4, 3)} == model.get_params()
    assert {name: getattr(again, name) for name in SAME_FITTED} == {name: getattr(model, name) for name in SAME_FITTED}
    assert again.parameters_.keys() == model.parameters_.keys()
    assert all(np.array_equal(again.parameters_[name], array) for name, array in model.parameters_.items())
    assert not any(array.flags.writeable for array in again.parameters_.values())


def test_names_of_columns_are_kept(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(inputs()[:, :, 0], columns=[f"höhe {t}" for t in range(6)])
    model = LSTMRegressor(3, max_iter=1).fit(frame, frame.sum(axis=1))
    again = LSTMRegressor.load_model(saved(model, tmp_path))
    assert list(again.feature_names_in_) == list(model.feature_names_in_)
    np.testing.assert_array_equal(again.predict(frame), model.predict(frame))


def test_flat_rows_are_cut_as_they_were(tmp_path):
    X = inputs(8).reshape(8, -1)
    model = LSTMRegressor(3, n_timesteps=6, max_iter=1).fit(X, X[:, 0])
    path = saved(model, tmp_path)
    np.testing.assert_array_equal(load_model(path).predict(X), model.predict(X))
    np.testing.assert_array_equal(LSTMRegressor.load_model(path).predict(X), model.predict(X))


def test_a_loaded_estimator_learns_on(tmp_path):
    model = fitted()
    again = LSTMRegressor.load_model(saved(model, tmp_path))
    X = inputs(16)
    again.partial_fit(X, X[:, 0, 0])
    assert again.n_iter_ == model.n_iter_ + 1
    assert not np.array_equal(again.predict(X), model.predict(X))


def test_a_loaded_estimator_saves_the_same_file(tmp_path):
    path = saved(fitted(), tmp_path)
    LSTMRegressor.load_model(path).save_model(tmp_path / "again")
    load_model(path).save(tmp_path / "model")
    assert path.read_bytes() == (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()


def tokens(n_samples=8):
    return np.abs(inputs(n_samples, n_features=1) * 8) % 5


@pytest.mark.parametrize(
    ("fit_with", "set_later", "X"),
    [
        ({}, {"missing": "mask"}, inputs(8)),
        ({"missing": "mask"}, {"missing": "error"}, np.where(inputs(8) < 0, np.nan, inputs(8))),
        ({}, {"vocabulary_size": 5, "padding_token": 0}, inputs(8)),
        ({"vocabulary_size": 5}, {"vocabulary_size": None, "missing": "mask"}, tokens()),
        ({"vocabulary_size": 5}, {"embedding_size": 3, "padding_token": 1}, tokens()),
        ({"n_timesteps": 6}, {"n_timesteps": 4}, inputs(8).reshape(8, 12)),
        ({}, {"loss": "quantile", "quantile": [0.1, 0.9]}, inputs(8)),
        ({}, {"hidden_size": [4, 3], "cell": "gru", "bidirectional": True}, inputs(8)),
    ],
    ids=lambda value: "" if isinstance(value, np.ndarray) else name_of(value),
)
def test_what_is_set_after_fit_changes_no_prediction(fit_with, set_later, X, tmp_path):
    model = LSTMRegressor(3, max_iter=1, random_state=0, **fit_with).fit(X, np.arange(8))
    expected = model.predict(X)
    model.set_params(**set_later)
    np.testing.assert_array_equal(model.predict(X), expected)
    path = saved(model, tmp_path)
    again = LSTMRegressor.load_model(path)
    for one in (again, load_model(path)):
        np.testing.assert_array_equal(one.predict(X), expected)
    assert {name: again.get_params()[name] for name in set_later} == set_later
    for one in (model, again):
        with pytest.raises(ValueError, match=r"(is|are) .*, expected .* \(as in the network to go on from\)"):
            one.partial_fit(X, np.arange(8))


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        (np.array(["2024-01-01", "2025-01-01"], "M8[D]"), "date"),
        (np.array([1, 2], "m8[s]"), "timedelta"),
        (np.array(["2024-01-01", "2025-01-01"], "M8[ns]"), "datetime64"),
        (np.array([1, 2], "m8[ns]"), "timedelta64"),
        (np.array([b"a", b"b"]), "bytes"),
        (np.array([1, 2], np.longdouble), "longdouble"),
        (np.array([Decimal(1), Decimal(2)]), "Decimal"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_labels_that_no_file_can_hold_are_named(labels, name, tmp_path):
    model = LSTMClassifier(3, max_iter=1).fit(inputs(8), labels[np.arange(8) % 2])
    assert set(model.predict(inputs(8))) <= set(labels)
    with pytest.raises(TypeError, match=f"classes_ holds labels of type {name}, expected bool, int, float or str"):
        saved(model, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_labels_that_end_in_nul_stay_apart(tmp_path):
    labels = np.array(["a", "a\0"], dtype=object)
    model = LSTMClassifier(3, max_iter=1).fit(inputs(8), labels[np.arange(8) % 2])
    again = LSTMClassifier.load_model(saved(model, tmp_path))
    assert again.classes_.tolist() == labels.tolist()


def test_a_parameter_that_has_become_wrong_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match="dropout is 2, expected a real number"):
        saved(fitted().set_params(dropout=2), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_parameter_that_is_no_data_begins_as_by_default(tmp_path):
    model = fitted(random_state=np.random.RandomState(0), dtype=np.float64)
    again = LSTMRegressor.load_model(saved(model, tmp_path))
    assert again.random_state is None
    assert again.dtype == "float64"


@pytest.mark.parametrize(
    ("parameters", "loaded"),
    [
        ({"hidden_size": range(2, 4)}, [2, 3]),
        ({"dropout": Fraction(1, 4), "hidden_size": [2, 2]}, 0.25),
        ({"alpha": np.longdouble(0.5)}, 0.5),
        ({"batch_size": np.int64(16)}, 16),
    ],
)
def test_numbers_of_any_kind_are_in_a_file(parameters, loaded, tmp_path):
    again = LSTMRegressor.load_model(saved(fitted(**parameters), tmp_path))
    assert getattr(again, next(iter(parameters))) == loaded


@pytest.mark.parametrize("labels", [["a", "b"], [0, 1], [-1.0, 2.0], [False, True]])
def test_weights_of_classes_are_kept_whatever_the_labels(labels, tmp_path):
    X = inputs()
    y = np.array(labels)[np.arange(len(X)) % 2]
    weights = dict(zip(np.array(labels).tolist(), (1, 2.5), strict=True))
    model = LSTMClassifier(3, max_iter=1, class_weight=weights, random_state=0).fit(X, y)
    again = LSTMClassifier.load_model(saved(model, tmp_path))
    assert again.class_weight == weights
    assert [type(label) for label in again.class_weight] == [type(label) for label in weights]
    for one in (model, again):
        one.set_params(warm_start=True, solver="sgd").fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


def test_either_regressor_loads_the_others_file(tmp_path):
    model = fitted(cell="gru")
    again = GRURegressor.load_model(saved(model, tmp_path))
    assert again.cell == "gru"
    np.testing.assert_array_equal(again.predict(inputs()), model.predict(inputs()))


def test_an_estimator_that_is_not_fitted_is_not_saved(tmp_path):
    with pytest.raises(Exception, match="not fitted"):
        LSTMRegressor().save_model(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_file_is_what_the_safetensors_package_reads_and_writes(dtype, tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    model = fitted(dtype=dtype)
    path = saved(model, tmp_path)
    arrays = safetensors.load_file(path)
    assert arrays.keys() == model.parameters_.keys()
    assert all(np.array_equal(arrays[name], array) for name, array in model.parameters_.items())
    with path.open("rb") as file:
        metadata = _container.read_header(file).metadata
    safetensors.save_file(dict(model.parameters_), tmp_path / "theirs", metadata)
    with (tmp_path / "theirs").open("rb") as file:
        header = _container.read_header(file)
        theirs, _ = _container.read_tensors(file, header, b"")
    assert header.metadata == metadata
    assert all(np.array_equal(theirs[name], array) for name, array in model.parameters_.items())


def test_a_model_says_what_it_is(tmp_path):
    model = load_model(saved(fitted(cell="gru", hidden_size=[4, 3], dropout=0.5), tmp_path))
    expected = {
        "cell": "gru",
        "n_features": 2,
        "hidden_sizes": [4, 3],
        "n_outputs": 1,
        "dropout": 0.5,
        "pooling": "last",
    }
    assert {name: model.architecture[name] for name in expected} == expected
    assert model.dtype == "float32"
    assert model.parameters["layers.0.weight_ih"].shape == (12, 2)
    assert not any(array.flags.writeable for array in model.parameters.values())
    assert model.task["kind"] == "regression"


def test_a_model_survives_pickle(tmp_path):
    model = load_model(saved(fitted(), tmp_path))
    expected = model.predict(inputs())
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(inputs()), expected)
    assert not any(array.flags.writeable for array in again.parameters.values())


@pytest.mark.parametrize(
    ("X", "match"),
    [
        (np.zeros((2, 3, 4)), r"shape \(2, 3, 4\), expected \(n_samples, n_steps, 2\)"),
        (np.zeros(3), "shape"),
        (np.zeros((2, 5)), "shape"),
        (np.zeros((2, 0, 2)), r"X has shape \(2, 0, 2\), expected .*, none of them 0"),
        (np.zeros((0, 3, 2)), "none of them 0"),
        ([np.zeros((3, 2)), np.zeros((0, 2))], r"X\[1\] has shape \(1, 0, 2\), expected .*, none of them 0"),
        (np.full((2, 3, 2), np.nan), "nan: row 0, step 0, feature 0"),
        (np.where(np.arange(12).reshape(2, 3, 2) == 9, np.inf, 0), "inf: row 1, step 1, feature 1"),
    ],
)
def test_a_model_says_what_is_wrong_with_its_input(X, match, tmp_path):
    model = load_model(saved(fitted(), tmp_path))
    with pytest.raises(ValueError, match=match):
        model.predict(X)


def test_loading_needs_neither_scikit_learn_nor_safetensors(run_python, tmp_path):
    model = fitted()
    saved(model, tmp_path)
    np.save(tmp_path / "X.npy", inputs())
    run_python(
        "import sys, numpy as np\n"
        "sys.modules.update(dict.fromkeys(['sklearn', 'scipy', 'joblib', 'safetensors']))\n"
        "import pylstm\n"
        "np.save('y.npy', pylstm.load_model('model.safetensors').predict(np.load('X.npy')))\n"
    )
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), model.predict(inputs()))


def test_a_file_without_a_task_is_read_as_a_model_alone(tmp_path):
    document = _document.load(saved(fitted(n_outputs=2), tmp_path))
    path = tmp_path / "bare"
    _document.save(_document.Document(document.dtype, document.architecture, document.parameters, {}), path)
    assert load_model(path).predict(inputs()).shape == (4, 2)
    with pytest.raises(ModelFormatError, match="expected 'regression'"):
        LSTMRegressor.load_model(path)


def test_a_network_that_no_estimator_has_is_read_as_a_model_alone(tmp_path):
    document = _document.load(saved(fitted(cell="rnn"), tmp_path))
    for number, change in enumerate([{"cell": "rnn_relu"}, {"variational": True}]):
        path, architecture = tmp_path / str(number), document.architecture | change
        _document.save(_document.Document(document.dtype, architecture, document.parameters, document.task), path)
        assert change.items() <= load_model(path).architecture.items()
        with pytest.raises(ModelFormatError, match=r"pylstm\.load_model reads it"):
            LSTMRegressor.load_model(path)


# Writing.


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    model = fitted()
    path = saved(model, tmp_path)
    before = path.read_bytes()

    def fail(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        model.save_model(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_string_that_is_no_unicode_is_not_written(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(inputs()[:, :, 0], columns=[os.fsdecode(b"h\xf6he"), *"bcdef"])
    model = LSTMRegressor(3, max_iter=1).fit(frame, frame.sum(axis=1))
    with pytest.raises(ValueError, match=r"the string 'h\\udcf6he'"):
        model.save_model(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        fitted().save_model(tmp_path / "nowhere" / "model")
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "nowhere")
    with pytest.raises(OSError):  # noqa: PT011 (which one depends on the system)
        load_model(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="symbolic links and modes are POSIX's")
def test_links_are_followed_and_modes_are_those_of_new_files(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real" / "model")
    fitted().save_model(link)
    assert link.is_symlink()
    (tmp_path / "plain").touch()
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("real/model", "plain")]
    assert modes[0] == modes[1]


@pytest.mark.skipif(os.name != "posix", reason="pipes and modes are POSIX's")
@pytest.mark.parametrize("write", ["save_model", "export_header"])
def test_what_is_no_file_is_not_replaced_and_a_file_keeps_its_mode(write, tmp_path):
    model, pipe, path = fitted(), tmp_path / "pipe", tmp_path / "file"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="not a file that can be replaced"):
        getattr(model, write)(pipe)
    with pytest.raises(IsADirectoryError):
        getattr(model, write)(tmp_path)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    path.touch(mode=0o600)
    getattr(model, write)(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(tmp_path.iterdir()) == [path, pipe]


def test_a_write_that_cannot_begin_names_the_path_it_was_given(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        fitted().save_model(tmp_path / "nowhere" / "model")
    assert caught.value.filename == str(tmp_path / "nowhere" / "model")


@pytest.mark.skipif(os.name != "posix", reason="Windows bounds whole paths")
def test_a_name_may_be_as_long_as_the_system_lets_it(tmp_path):
    path = tmp_path / ("m" * 255)
    path.touch()
    fitted().save_model(path)
    assert list(tmp_path.iterdir()) == [path]
    load_model(path)


@pytest.mark.skipif(os.name != "posix", reason="symbolic links are POSIX's")
def test_links_in_a_circle_are_an_os_error(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.symlink_to(other)
    other.symlink_to(one)
    with pytest.raises(OSError, match="symbolic links"):
        fitted().save_model(one)
    assert sorted(tmp_path.iterdir()) == [one, other]
    assert one.is_symlink()


# Golden files: of every released version one folder.


def test_files_of_every_version_keep_loading(golden):
    path, bits = golden
    predicted = load_model(path).predict(inputs()).ravel()
    if pylstm.show_config(mode="dicts")["isa"] == "generic":  # which has no fused multiply-add
        np.testing.assert_allclose(predicted, np.frombuffer(bytes.fromhex(bits), predicted.dtype), rtol=1e-4)
    else:
        assert predicted.tobytes().hex() == bits


def test_estimators_of_every_version_keep_loading(golden):
    path, _ = golden
    model = load_model(path)
    if "estimator" not in model.task:
        pytest.skip("written without an estimator")
    estimator = getattr(pylstm, model.task["estimator"]).load_model(path)
    np.testing.assert_array_equal(estimator.predict(inputs()), model.predict(inputs()))


def test_the_description_is_documented_by_this_list(tmp_path):
    path = saved(fitted(), tmp_path)
    with path.open("rb") as file:
        description = json.loads(_container.read_header(file).metadata["pylstm"])
    assert list(description) == ["format", "library", "architecture", "task"]
    assert description["format"] == 1
    assert description["library"] == pylstm.__version__
    assert list(description["task"]) == [
        "kind",
        "per_step",
        "y_is_1d",
        "loss",
        "missing",
        "n_timesteps",
        "n_columns",
        "estimator",
        "parameters",
        "attributes",
        "seed",
    ]
