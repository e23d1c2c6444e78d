"""Regression from sequences: `LSTMRegressor`, `GRURegressor`."""

from __future__ import annotations

from typing import Any, Self

from sklearn.base import RegressorMixin
from sklearn.utils import Tags

from pylstm.typing import FloatArray

from ._base import RecurrentEstimator
from ._parameters import check_boolean, with_defaults


class SequenceRegressor(RegressorMixin, RecurrentEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What the regressors do, whatever their cell."""

    _KIND = "regression"

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Train on `X` and `y`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_steps, n_features), (n_samples, n_steps) or (n_samples, n_columns)
            Sequences; finite. A 2-D array has one feature per step, or ``n_timesteps * n_features`` columns if
            `n_timesteps` is set.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets; finite.
        sample_weight : array-like of shape (n_samples,), optional
            Weights, not negative. Default: all ones.
        X_val, y_val, sample_weight_val : array-like, optional
            Samples to validate on, as X, y and sample_weight. Loss and score on them are recorded after each epoch;
            with ``early_stopping=True`` they decide, and no part of X is held out.

        Returns
        -------
        self : object
            Fitted. If anything is raised it is as it was before the call.

        Raises
        ------
        TypeError
            If a parameter or an array has the wrong type.
        ValueError
            If a parameter or a shape is wrong, or a number is NaN or infinite; the message says where.

        Warns
        -----
        ConvergenceWarning
            If training was interrupted, or the loss became NaN or infinite.
        """
        validation = (X_val, y_val, sample_weight_val)
        return self._fit(X, y, sample_weight, validation, resume=bool(self.warm_start), partial=False)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one epoch on `X` and `y`, going on from the weights and the solver's state of an earlier call.

        Parameters
        ----------
        X : array-like
            Sequences, as for `fit`.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), optional
            Weights, not negative. Default: all ones.

        Returns
        -------
        self : object
            Fitted.

        Raises
        ------
        ValueError
            As `fit`, and with ``early_stopping=True``: one epoch cannot be stopped.
        """
        if check_boolean("early_stopping", self.early_stopping):
            msg = "partial_fit does not support early_stopping=True"
            raise ValueError(msg)
        return self._fit(X, y, sample_weight, (None, None, None), resume=True, partial=True)

    def predict(self, X: Any) -> FloatArray:
        """Predict the targets of `X`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_steps, n_features), (n_samples, n_steps) or (n_samples, n_columns)
            Sequences, as for `fit`. A 3-D array may have another number of steps.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            As y in `fit`. float64; float32 if X is float32 and so is the estimator's `dtype`.
        """
        return self._predict(X)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.target_tags.multi_output = True
        return tags


class LSTMRegressor(SequenceRegressor):
    """Long short-term memory network for regression, trained by mini-batch gradient descent.

    A sequence goes through `num_layers` recurrent layers; a linear layer reads what `pooling` takes of the last one.

    Parameters
    ----------
    hidden_size : int or sequence of int, default=32
        Units in each layer: the same in all, or one number per layer.
    cell : {"lstm", "peephole_lstm", "coupled_lstm", "layernorm_lstm", "gru", "layernorm_gru", "rnn"}, default="lstm"
        What a layer is made of: the LSTM; with weights from the cell state to the gates (Gers et al. 2002); with a
        forget gate of 1 - i (Greff et al. 2017); the gated recurrent unit (Cho et al. 2014); either with layer
        normalisation (Ba et al. 2016); the simple recurrent network with tanh (Elman 1990).
    num_layers : int, default=1
        Layers, each reading the outputs of the one before. With a sequence as `hidden_size` that says how many there
        are; then 1 or their number.
    proj_size : int, optional
        Elements that every LSTM layer projects its outputs to, for its own next step and the layer above (Sak et al.
        2014). Default: no projection.
    bidirectional : bool, default=False
        Let every layer read the sequence in both directions, with weights of their own (Schuster and Paliwal 1997); the
        outputs of both lie side by side.
    pooling : {"last", "mean", "max"}, default="last"
        What is read of the last layer: its state after the last step, or the mean or the largest value of each unit
        over all steps. "last" of two directions is the state of each after its own last step, which is the first of the
        sequence for the reverse one: both have then read all of it.
    dropout : float, default=0.0
        Share of the outputs of every layer but the last that is set to zero in training, in [0, 1).
    n_timesteps : int, optional
        Steps in a row of a 2-D X, which then holds ``n_timesteps * n_features`` columns, step by step. Default: every
        column is a step of one feature. Not used for a 3-D X.
    solver : {"adam", "adamw", "sgd", "rmsprop"}, default="adam"
        How gradients become updates.
    alpha : float, default=0.0
        L2 penalty of the weights, not of the biases. For "adamw" it is the decoupled weight decay; for the others
        ``alpha * weight`` is added to the gradient after clipping.
    batch_size : int, default=32
        Sequences per update.
    learning_rate_init : float, default=3e-3
        Learning rate; it stays constant.
    max_iter : int, default=200
        Most epochs (passes over the data) in one call of fit. It is a budget: using it up is not worth a warning.
    shuffle : bool, default=True
        Draw a new order of the samples in every epoch.
    random_state : int, RandomState instance or None, default=None
        Source of the initial weights, the orders, the dropout masks and the validation split. The same int gives the
        same bits, with any number of threads.
    tol : float or None, default=1e-4
        An epoch counts as an improvement if the loss falls by more than ``tol`` times the variance of y: with early
        stopping the loss on the validation samples, otherwise on the training samples. None never stops early.
    n_iter_no_change : int, default=10
        Training ends after this many epochs in a row without improvement.
    early_stopping : bool, default=False
        Watch the validation samples instead of the training samples, and return the weights of the best epoch.
    validation_fraction : float, default=0.1
        Share of the training samples to validate on, if `early_stopping` is set and fit is given no `X_val`: drawn at
        random with ``shuffle=True``, the last ones with ``shuffle=False``. Windows of one series overlap, so that
        random ones say little about the future: there, pass `X_val` or set ``shuffle=False``.
    max_grad_norm : float or None, default=1.0
        Gradients longer than this, over all parameters, are scaled down to it. None leaves them alone.
    momentum : float, default=0.9
        Momentum of "sgd".
    nesterovs_momentum : bool, default=True
        Whether the momentum of "sgd" is Nesterov's.
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay of the first and the second moment of "adam" and "adamw".
    epsilon : float, default=1e-8
        Added to the denominator of "adam", "adamw" and "rmsprop".
    rho : float, default=0.9
        Decay of the second moment of "rmsprop".
    dtype : {"float32", "float64"}, default="float32"
        Type of weights and arithmetic.
    warm_start : bool, default=False
        Let fit go on from the weights, the solver's state and the epoch count of the last fit. What fixes the shapes of
        the weights cannot change then.
    verbose : int, default=0
        1 shows a progress bar (plain lines if tqdm is not installed), 2 plain lines.

    Attributes
    ----------
    loss_curve_ : list of float
        Mean squared error on the training samples, epoch by epoch over all calls, each batch measured before its
        update; without the penalty.
    validation_scores_ : list of float or None
        R^2 on the validation samples after each epoch; None without such samples.
    validation_loss_curve_ : list of float or None
        Mean squared error on the validation samples after each epoch; None without such samples.
    best_loss_ : float
        Lowest loss of the last call: on the validation samples if there were any, otherwise on the training samples.
    n_iter_ : int
        Epochs completed, over all calls.
    n_features_in_ : int
        Columns of a 2-D X, features of a 3-D X.
    n_features_per_step_ : int
        Features of each step.
    feature_names_in_ : ndarray of str
        Names of the columns, if X was a data frame with string names.
    n_outputs_ : int
        Outputs.
    parameters_ : dict of str to ndarray
        Weights by name, read-only: ``layers.0.weight_ih`` of shape (4*hidden_size, n_features),
        ``layers.0.weight_hh``, ``layers.0.bias``, ..., ``head.weight``, ``head.bias``; gates in the order i, f, g, o.
        Other cells have other gates (`pylstm.lstm_forward`, `pylstm.gru_forward`, `pylstm.rnn_forward`), and
        ``layers.0.peephole``, ``layers.0.bias_hn``, ``layers.0.gain_ih`` and the like. The other direction's weights
        are ``layers.0.reverse.weight_ih``, ....

    See Also
    --------
    GRURegressor : The same with gated recurrent units.
    pylstm.make_windows : Cuts a series into X and y.

    Notes
    -----
    The loss is ``sum_n w_n * mean_o (prediction - y)**2 / sum_n w_n`` over the samples n of a batch. y is not scaled:
    wrap the estimator in `sklearn.compose.TransformedTargetRegressor` if y is far from unit variance.

    X is read where it lies: a memory-mapped array larger than memory can be trained on, and the windows of
    `make_windows` are never spelled out. Only types other than float32 and float64 are converted, which takes a copy.

    A sample of weight 0 is as good as absent. Where one batch holds all samples, weights are repetitions and the order
    of the samples does not matter, bit for bit. With several batches a repeated sample is met several times in an
    epoch, a weighted one once.

    Ctrl-C ends the training, not the program: a warning says so, and the estimator is fitted with the weights of the
    best epoch, or of the last batch if no epoch was complete. The same holds if the loss becomes NaN, with the weights
    the training began with if no epoch was complete.

    References
    ----------
    S. Hochreiter and J. Schmidhuber, "Long short-term memory", Neural Computation 9(8), 1997.

    M. Schuster and K. K. Paliwal, "Bidirectional recurrent neural networks", IEEE Transactions on Signal Processing
    45(11), 1997.

    Examples
    --------
    >>> import numpy as np
    >>> from pylstm import LSTMRegressor, make_windows
    >>> X, y = make_windows(np.sin(0.1 * np.arange(500)), n_timesteps=20)
    >>> model = LSTMRegressor(hidden_size=8, max_iter=30, random_state=0).fit(X[:400], y[:400])
    >>> model.predict(X[400:]).shape
    (80,)
    >>> bool(model.score(X[400:], y[400:]) > 0.9)
    True
    """


class GRURegressor(SequenceRegressor):
    """Gated recurrent units for regression, trained by mini-batch gradient descent.

    `LSTMRegressor` with another default: three gates instead of four and no cell state, so a quarter less work for the
    same `hidden_size`. Parameters and attributes are those of `LSTMRegressor`.

    Parameters
    ----------
    hidden_size : int or sequence of int, default=32
        Units in each layer.
    cell : {"lstm", "peephole_lstm", "coupled_lstm", "layernorm_lstm", "gru", "layernorm_gru", "rnn"}, default="gru"
        What a layer is made of.
    num_layers, proj_size, bidirectional, pooling, dropout, n_timesteps, solver, alpha, batch_size, \
    learning_rate_init, max_iter, shuffle, random_state, tol, n_iter_no_change, early_stopping, validation_fraction, \
    max_grad_norm, momentum, nesterovs_momentum, beta_1, beta_2, epsilon, rho, dtype, warm_start, verbose
        As for `LSTMRegressor`.

    See Also
    --------
    LSTMRegressor : Says what the parameters and the attributes mean.

    References
    ----------
    K. Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine translation",
    EMNLP 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from pylstm import GRURegressor, make_windows
    >>> X, y = make_windows(np.sin(0.1 * np.arange(500)), n_timesteps=20)
    >>> model = GRURegressor(hidden_size=8, max_iter=30, random_state=0).fit(X[:400], y[:400])
    >>> bool(model.score(X[400:], y[400:]) > 0.9)
    True
    """

    __init__ = with_defaults(RecurrentEstimator.__init__, cell="gru")
