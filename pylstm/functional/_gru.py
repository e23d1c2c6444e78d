"""The gated recurrent unit over sequences, its backpropagation through time, and one step of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.typing import ArrayLike

from pylstm import _core
from pylstm.functional._activations import Activation, checked_activations
from pylstm.functional._flags import checked_flag
from pylstm.functional._layer_norm import LayerNorm, LayerNormGradients
from pylstm.typing import Flag, FloatArray

if TYPE_CHECKING:
    from collections.abc import Iterable


class GRUOutput(NamedTuple):
    """What `gru_forward` returns.

    Attributes
    ----------
    y : ndarray of shape (N, T, H)
        Hidden state of every step, 0 past the end of a row.
    h_n : ndarray of shape (N, H)
        State after each row's last step.
    tape : Tape or None
        What `gru_backward` needs. None unless ``training=True``.
    """

    y: FloatArray
    h_n: FloatArray
    tape: _core.Tape | None


class GRUGradients(NamedTuple):
    """What `gru_backward` returns: gradients named and shaped as the arguments of `gru_forward`.

    Attributes
    ----------
    x : ndarray of shape (N, T, I)
    weight_ih : ndarray of shape (3H, I)
    weight_hh : ndarray of shape (3H, H)
    bias : ndarray of shape (3H,)
    bias_hn : ndarray of shape (H,), or None with reset_after=False
    h0 : ndarray of shape (N, H)
    layer_norm : LayerNormGradients, a LayerNorm of arrays, or None if there was none
    """

    x: FloatArray
    weight_ih: FloatArray
    weight_hh: FloatArray
    bias: FloatArray
    bias_hn: FloatArray | None
    h0: FloatArray
    layer_norm: LayerNormGradients[None] | None


def gru_forward(
    x: ArrayLike,
    weight_ih: ArrayLike,
    weight_hh: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    bias_hn: ArrayLike | None = None,
    h0: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
    reverse: Flag = False,
    training: Flag = False,
    layer_norm: LayerNorm | None = None,
    reset_after: Flag = True,
    activations: Iterable[Activation] | None = None,
) -> GRUOutput:
    """Run a GRU layer over a batch of sequences.

    Parameters
    ----------
    x : array-like of shape (N, T, I)
        float32 or float64: it decides the type of the computation, and other arguments are cast to it. Integers count
        as float64. Any strides; never written to.
    weight_ih : array-like of shape (3H, I)
        Input weights, rows in three blocks: gates r, z, n (as in PyTorch).
    weight_hh : array-like of shape (3H, H)
        Recurrent weights, rows likewise.
    bias : array-like of shape (3H,), optional
        Of gates r, z and of the input half of n. Default: zeros. PyTorch's two biases of r and z add up to these.
    bias_hn : array-like of shape (H,), optional
        Of the recurrent half of n, which the reset gate scales. Default: zeros.
    h0 : array-like of shape (N, H), optional
        Initial state. Default: zeros.
    lengths : array-like of shape (N,), optional
        Real steps of each row, integers in [0, T]. Default: all T.
    reverse : bool, default=False
        Process each row from its last real step to its first. y stays at the time of its x.
    training : bool, default=False
        Keep what `gru_backward` needs. The results are the same to the last bit.
    layer_norm : LayerNorm, optional
        Normalise both products; ``LayerNorm()`` starts with gains of one. Not with ``reset_after=False`` or
        `activations`.
    reset_after : bool, default=True
        The reset gate scales the recurrent product of n, as in PyTorch and cuDNN. False: the state before that product,
        as in Cho et al. 2014, ONNX's ``linear_before_reset=0`` and Keras' ``reset_after=False``; n then has one bias,
        the last block of `bias`, and `bias_hn` must be None.
    activations : sequence of str or tuple, optional
        f of the gates and g of n. Each is "sigmoid", "tanh", "relu", "softsign" or "softplus"; "leaky_relu",
        "thresholded_relu" or "elu", or a tuple of that and alpha; "affine", "scaled_tanh" or "hard_sigmoid", or a tuple
        of that, alpha and perhaps beta: the functions of the ONNX operator with its default parameters. A general path,
        and a slower one. Default: sigmoid, tanh.

    Returns
    -------
    GRUOutput
        y (N, T, H), h_n (N, H) and tape.

    Raises
    ------
    TypeError
        If an argument is a masked array, complex, of objects, strings or another float type, lengths are no integers,
        or a flag is neither True, False, 0 nor 1.
    ValueError
        If shapes disagree, a length is out of range, `activations` are unknown or not two, or an option comes with
        another that it excludes.

    Notes
    -----
    ::

        r, z = sigmoid(W_ih x[t] + W_hh h[t-1] + b)
        n = tanh(W_in x[t] + b_n + r (W_hn h[t-1] + b_hn))
        h[t] = (1 - z) n + z h[t-1]

    Cho et al. 2014, with the reset gate after the recurrent product as in cuDNN and PyTorch. With
    ``reset_after=False``::

        n = tanh(W_in x[t] + W_hn (r h[t-1]) + b_n)

    NaN and infinity pass through.

    Examples
    --------
    >>> import numpy as np, pylstm
    >>> rng = np.random.default_rng(0)
    >>> x, w_ih, w_hh = rng.normal(size=(2, 5, 3)), rng.normal(size=(12, 3)), rng.normal(size=(12, 4))
    >>> out = pylstm.gru_forward(x, w_ih, w_hh, lengths=[5, 2])
    >>> out.y.shape, bool((out.h_n[1] == out.y[1, 1]).all())
    ((2, 5, 4), True)
    """
    y, h_n, _, tape = _core.layer_forward(
        _cell(layer_norm, checked_flag("reset_after", reset_after), bias_hn),
        x,
        weight_ih,
        weight_hh,
        bias,
        bias_hn,
        None,
        layer_norm,
        None,
        None,
        checked_activations(activations, ("f", "g")),
        h0,
        None,
        lengths,
        checked_flag("reverse", reverse),
        checked_flag("training", training),
    )
    return GRUOutput(y, h_n, tape)


def gru_backward(tape: Any, dy: ArrayLike | None = None, *, dh_n: ArrayLike | None = None) -> GRUGradients:
    """Backpropagate through time.

    Parameters
    ----------
    tape : Tape
        Of ``gru_forward(..., training=True)``. It holds its own copies and may be used any number of times.
    dy : array-like of shape (N, T, H), optional
        Gradient of the loss with respect to y. Default: zeros. Values past the end of a row are ignored.
    dh_n : array-like of shape (N, H), optional
        Gradient with respect to h_n. Default: zeros.

    Returns
    -------
    GRUGradients
        Gradients with respect to x, weight_ih, weight_hh, bias, bias_hn and h0, the last three also where they were not
        given; and to layer_norm, None where it was not given.

    Raises
    ------
    TypeError
        If `tape` is not a tape of a GRU, or a gradient is not of real numbers.
    ValueError
        If shapes disagree.

    Notes
    -----
    Werbos 1990. Sums over time and batch are taken in one fixed order: the bits do not depend on the number of threads.

    Examples
    --------
    >>> import numpy as np, pylstm
    >>> out = pylstm.gru_forward(np.ones((1, 3, 1)), np.ones((6, 1)), np.ones((6, 2)), training=True)
    >>> pylstm.gru_backward(out.tape, dh_n=np.ones((1, 2))).weight_hh.shape
    (6, 2)
    """
    x, weight_ih, weight_hh, bias, bias_hn, units, _, h0, _ = _core.layer_backward("gru", tape, dy, dh_n, None)
    normalized: LayerNormGradients[None] | None = (
        LayerNormGradients._of(units, 3, has_memory=False) if len(units) else None
    )
    return GRUGradients(x, weight_ih, weight_hh, bias, bias_hn if len(bias_hn) else None, h0, normalized)


def gru_step(
    x_t: ArrayLike,
    h: ArrayLike | None,
    weight_ih: ArrayLike,
    weight_hh: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    bias_hn: ArrayLike | None = None,
    layer_norm: LayerNorm | None = None,
    reset_after: Flag = True,
    activations: Iterable[Activation] | None = None,
) -> FloatArray:
    """Run one time step. A sequence of steps gives the bits of `gru_forward`.

    Parameters
    ----------
    x_t : array-like of shape (N, I)
        Input of this step; its type decides that of the computation.
    h : array-like of shape (N, H), or None
        State before it. None: zeros.
    weight_ih, weight_hh, bias, bias_hn, layer_norm, reset_after, activations
        As for `gru_forward`.

    Returns
    -------
    ndarray of shape (N, H)
        State after it; a new array.

    Raises
    ------
    TypeError, ValueError
        As for `gru_forward`.

    Examples
    --------
    >>> import numpy as np, pylstm
    >>> pylstm.gru_step(np.ones((1, 1)), np.zeros((1, 2)), np.ones((6, 1)), np.ones((6, 2))).shape
    (1, 2)
    """
    h_next: FloatArray = _core.layer_step(
        _cell(layer_norm, checked_flag("reset_after", reset_after), bias_hn),
        x_t,
        h,
        None,
        weight_ih,
        weight_hh,
        bias,
        bias_hn,
        None,
        layer_norm,
        None,
        None,
        checked_activations(activations, ("f", "g")),
    )[0]
    return h_next


def _cell(layer_norm: LayerNorm | None, reset_after: bool, bias_hn: object) -> str:
    if not reset_after and bias_hn is not None:
        msg = "bias_hn is given, expected None with reset_after=False: add it to the last block of bias"
        raise ValueError(msg)
    if layer_norm is None:
        return "gru" if reset_after else "gru_reset_before"
    if not isinstance(layer_norm, LayerNorm):
        msg = f"layer_norm is {type(layer_norm).__name__}, expected LayerNorm or None"
        raise TypeError(msg)
    if layer_norm.gain_c is not None or layer_norm.bias_c is not None:
        msg = "layer_norm has gain_c or bias_c, expected None: a GRU has no cell state"
        raise ValueError(msg)
    if not reset_after:
        msg = "layer_norm is given, expected None with reset_after=False"
        raise ValueError(msg)
    return "layernorm_gru"
