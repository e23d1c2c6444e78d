"""The simple recurrent network over sequences, its backpropagation through time, and one step of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from numpy.typing import ArrayLike

from pylstm import _core
from pylstm.functional._activations import Activation, checked_activations
from pylstm.functional._flags import checked_flag
from pylstm.typing import Flag, FloatArray

if TYPE_CHECKING:
    from collections.abc import Iterable


class RNNOutput(NamedTuple):
    """What `rnn_forward` returns.

    Attributes
    ----------
    y : ndarray of shape (N, T, H)
        Hidden state of every step, 0 past the end of a row.
    h_n : ndarray of shape (N, H)
        State after each row's last step.
    tape : Tape or None
        What `rnn_backward` needs. None unless ``training=True``.
    """

    y: FloatArray
    h_n: FloatArray
    tape: _core.Tape | None


class RNNGradients(NamedTuple):
    """What `rnn_backward` returns: gradients named and shaped as the arguments of `rnn_forward`.

    Attributes
    ----------
    x : ndarray of shape (N, T, I)
    weight_ih : ndarray of shape (H, I)
    weight_hh : ndarray of shape (H, H)
    bias : ndarray of shape (H,)
    h0 : ndarray of shape (N, H)
    """

    x: FloatArray
    weight_ih: FloatArray
    weight_hh: FloatArray
    bias: FloatArray
    h0: FloatArray


def rnn_forward(
    x: ArrayLike,
    weight_ih: ArrayLike,
    weight_hh: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    nonlinearity: Literal["tanh", "relu"] = "tanh",
    h0: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
    reverse: Flag = False,
    training: Flag = False,
    activations: Iterable[Activation] | None = None,
) -> RNNOutput:
    """Run a simple recurrent (Elman) layer over a batch of sequences.

    Parameters
    ----------
    x : array-like of shape (N, T, I)
        float32 or float64: it decides the type of the computation, and other arguments are cast to it. Integers count
        as float64. Any strides; never written to.
    weight_ih : array-like of shape (H, I)
        Input weights.
    weight_hh : array-like of shape (H, H)
        Recurrent weights.
    bias : array-like of shape (H,), optional
        Default: zeros. PyTorch's two biases add up to it.
    nonlinearity : {"tanh", "relu"}, default="tanh"
        The function f below.
    h0 : array-like of shape (N, H), optional
        Initial state. Default: zeros.
    lengths : array-like of shape (N,), optional
        Real steps of each row, integers in [0, T]. Default: all T.
    reverse : bool, default=False
        Process each row from its last real step to its first. y stays at the time of its x.
    training : bool, default=False
        Keep what `rnn_backward` needs. The results are the same to the last bit.
    activations : sequence of str or tuple, optional
        The one function f, instead of `nonlinearity`. Each is "sigmoid", "tanh", "relu", "softsign" or "softplus";
        "leaky_relu", "thresholded_relu" or "elu", or a tuple of that and alpha; "affine", "scaled_tanh" or
        "hard_sigmoid", or a tuple of that, alpha and perhaps beta: the functions of the ONNX operator with its default
        parameters. A general path, and a slower one. Default: `nonlinearity`.

    Returns
    -------
    RNNOutput
        y (N, T, H), h_n (N, H) and tape.

    Raises
    ------
    TypeError
        If an argument is a masked array, complex, of objects, strings or another float type, lengths are no integers,
        or a flag is neither True, False, 0 nor 1.
    ValueError
        If shapes disagree, a length is out of range, or `nonlinearity` or `activations` are unknown.

    Notes
    -----
    ::

        h[t] = f(W_ih x[t] + W_hh h[t-1] + b)

    Elman 1990. NaN and infinity pass through.

    Examples
    --------
    >>> import numpy as np, pylstm
    >>> rng = np.random.default_rng(0)
    >>> x, w_ih, w_hh = rng.normal(size=(2, 5, 3)), rng.normal(size=(4, 3)), rng.normal(size=(4, 4))
    >>> out = pylstm.rnn_forward(x, w_ih, w_hh, lengths=[5, 2])
    >>> out.y.shape, bool((out.h_n[1] == out.y[1, 1]).all())
    ((2, 5, 4), True)
    """
    y, h_n, _, tape = _core.layer_forward(
        _cell(nonlinearity, activations),
        x,
        weight_ih,
        weight_hh,
        bias,
        None,
        None,
        None,
        None,
        None,
        checked_activations(activations, ("f",)),
        h0,
        None,
        lengths,
        checked_flag("reverse", reverse),
        checked_flag("training", training),
    )
    return RNNOutput(y, h_n, tape)


def rnn_backward(tape: Any, dy: ArrayLike | None = None, *, dh_n: ArrayLike | None = None) -> RNNGradients:
    """Backpropagate through time.

    Parameters
    ----------
    tape : Tape
        Of ``rnn_forward(..., training=True)``. It holds its own copies and may be used any number of times.
    dy : array-like of shape (N, T, H), optional
        Gradient of the loss with respect to y. Default: zeros. Values past the end of a row are ignored.
    dh_n : array-like of shape (N, H), optional
        Gradient with respect to h_n. Default: zeros.

    Returns
    -------
    RNNGradients
        Gradients with respect to x, weight_ih, weight_hh, bias and h0; the last two also where they were not
        given.

    Raises
    ------
    TypeError
        If `tape` is not a tape of such a layer, or a gradient is not of real numbers.
    ValueError
        If shapes disagree.

    Notes
    -----
    Werbos 1990. Sums over time and batch are taken in one fixed order: the bits do not depend on the number of threads.

    Examples
    --------
    >>> import numpy as np, pylstm
    >>> out = pylstm.rnn_forward(np.ones((1, 3, 1)), np.ones((2, 1)), np.ones((2, 2)), training=True)
    >>> pylstm.rnn_backward(out.tape, dh_n=np.ones((1, 2))).weight_hh.shape
    (2, 2)
    """
    x, weight_ih, weight_hh, bias, _, _, _, h0, _ = _core.layer_backward("rnn", tape, dy, dh_n, None)
    return RNNGradients(x, weight_ih, weight_hh, bias, h0)


def rnn_step(
    x_t: ArrayLike,
    h: ArrayLike | None,
    weight_ih: ArrayLike,
    weight_hh: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    nonlinearity: Literal["tanh", "relu"] = "tanh",
    activations: Iterable[Activation] | None = None,
) -> FloatArray:
    """Run one time step. A sequence of steps gives the bits of `rnn_forward`.

    Parameters
    ----------
    x_t : array-like of shape (N, I)
        Input of this step; its type decides that of the computation.
    h : array-like of shape (N, H), or None
        State before it. None: zeros.
    weight_ih, weight_hh, bias, nonlinearity, activations
        As for `rnn_forward`.

    Returns
    -------
    ndarray of shape (N, H)
        State after it; a new array.

    Raises
    ------
    TypeError, ValueError
        As for `rnn_forward`.

    Examples
    --------
    >>> import numpy as np, pylstm
    >>> pylstm.rnn_step(np.ones((1, 1)), np.zeros((1, 2)), np.ones((2, 1)), np.ones((2, 2))).shape
    (1, 2)
    """
    h_next: FloatArray = _core.layer_step(
        _cell(nonlinearity, activations),
        x_t,
        h,
        None,
        weight_ih,
        weight_hh,
        bias,
        None,
        None,
        None,
        None,
        None,
        checked_activations(activations, ("f",)),
    )[0]
    return h_next


def _cell(nonlinearity: object, activations: object) -> str:
    cells = {"tanh": "rnn", "relu": "rnn_relu"}
    if not isinstance(nonlinearity, str) or nonlinearity not in cells:
        msg = f"nonlinearity is {nonlinearity!r}, expected 'tanh' or 'relu'"
        raise ValueError(msg)
    if activations is not None and nonlinearity != "tanh":
        msg = f"nonlinearity={nonlinearity!r} and activations are both given, expected one of them"
        raise ValueError(msg)
    return cells[nonlinearity]
