"""The LSTM over sequences, its backpropagation through time, and one step of it."""

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


class LSTMOutput(NamedTuple):
    """What `lstm_forward` returns.

    Attributes
    ----------
    y : ndarray of shape (N, T, H), or (N, T, P) with weight_hr of shape (P, H)
        Hidden state of every step, 0 past the end of a row.
    h_n : ndarray of shape (N, H), or (N, P)
        Hidden state after each row's last step.
    c_n : ndarray of shape (N, H)
        Cell state after it.
    tape : Tape or None
        What `lstm_backward` needs. None unless ``training=True``.
    """

    y: FloatArray
    h_n: FloatArray
    c_n: FloatArray
    tape: _core.Tape | None


class LSTMGradients(NamedTuple):
    """What `lstm_backward` returns: gradients named and shaped as the arguments of `lstm_forward`.

    Attributes
    ----------
    x : ndarray of shape (N, T, I)
    weight_ih : ndarray of shape (4H, I), or (3H, I) where gates were coupled
    weight_hh : ndarray of shape (4H, H), or (3H, H); with weight_hr of shape (P, H) its columns are P
    bias : ndarray of shape (4H,), or (3H,)
    h0 : ndarray of shape (N, H), or (N, P)
    c0 : ndarray of shape (N, H)
    peephole : ndarray of shape (3H,), or (2H,), or None if there were none
    layer_norm : LayerNormGradients, a LayerNorm of arrays, or None if there was none
    weight_hr : ndarray of shape (P, H), or None if there was none
    """

    x: FloatArray
    weight_ih: FloatArray
    weight_hh: FloatArray
    bias: FloatArray
    h0: FloatArray
    c0: FloatArray
    peephole: FloatArray | None
    layer_norm: LayerNormGradients[FloatArray] | None
    weight_hr: FloatArray | None


def lstm_forward(
    x: ArrayLike,
    weight_ih: ArrayLike,
    weight_hh: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    h0: ArrayLike | None = None,
    c0: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
    reverse: Flag = False,
    training: Flag = False,
    peephole: ArrayLike | None = None,
    coupled: Flag = False,
    cell_clip: float | None = None,
    layer_norm: LayerNorm | None = None,
    weight_hr: ArrayLike | None = None,
    activations: Iterable[Activation] | None = None,
) -> LSTMOutput:
    """Run an LSTM layer over a batch of sequences.

    Parameters
    ----------
    x : array-like of shape (N, T, I)
        float32 or float64: it decides the type of the computation, and other arguments are cast to it. Integers count
        as float64. Any strides; never written to.
    weight_ih : array-like of shape (4H, I), or (3H, I) with coupled=True
        Input weights, rows in blocks of H: gates i, f, g, o (as in PyTorch); coupled i, g, o.
    weight_hh : array-like of shape (4H, H), or (3H, H)
        Recurrent weights, rows likewise. With `weight_hr` they have P columns.
    bias : array-like of shape (4H,), or (3H,), optional
        Default: zeros.
    h0, c0 : array-like of shape (N, H), optional
        Initial states. Default: zeros. With `weight_hr` h0 has P columns.
    lengths : array-like of shape (N,), optional
        Real steps of each row, integers in [0, T]. Default: all T.
    reverse : bool, default=False
        Process each row from its last real step to its first. y stays at the time of its x.
    training : bool, default=False
        Keep what `lstm_backward` needs. The results are the same to the last bit.
    peephole : array-like of shape (3H,), or (2H,) with coupled=True, optional
        Each unit's weights from its cell state to its gates i, f (before the step) and o (after it); coupled i and o.
    coupled : bool, default=False
        The forget gate is 1 - i and has no weights of its own.
    cell_clip : float, optional
        Bound of abs(c), above 0. A cell state at the bound passes no gradient on. Default: none.
    layer_norm : LayerNorm, optional
        Normalise both products and the cell state; not together with the three options above, nor with `activations`.
        ``LayerNorm()`` starts with gains of one.
    weight_hr : array-like of shape (P, H), optional
        Projection of the units' outputs to h, which then has P elements instead of H, and so have y, h_n and h0
        (PyTorch's `proj_size`).
    activations : sequence of str or tuple, optional
        f of the gates, g of the candidate, h of the cell state on its way out. Each is "sigmoid", "tanh", "relu",
        "softsign" or "softplus"; "leaky_relu", "thresholded_relu" or "elu", or a tuple of that and alpha; "affine",
        "scaled_tanh" or "hard_sigmoid", or a tuple of that, alpha and perhaps beta: the functions of the ONNX operator
        with its default parameters. A general path, and a slower one. Default: sigmoid, tanh, tanh.

    Returns
    -------
    LSTMOutput
        y (N, T, H), h_n (N, H), c_n (N, H) and tape; with `weight_hr` y (N, T, P) and h_n (N, P).

    Raises
    ------
    TypeError
        If an argument is a masked array, complex, of objects, strings or another float type, lengths are no integers,
        or a flag is neither True, False, 0 nor 1.
    ValueError
        If shapes disagree, a length is out of range, `cell_clip` is not above 0, `activations` are unknown or not
        three, or `layer_norm` comes with an option that it excludes.

    Notes
    -----
    ::

        i, f, o = sigmoid(W_ih x[t] + W_hh h[t-1] + b)    g = tanh(W_ih x[t] + W_hh h[t-1] + b)
        c[t] = f c[t-1] + i g                             h[t] = o tanh(c[t])

    Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000. Peepholes add p c[t-1] inside the sigmoid
    of i and f, and p c[t] inside that of o (Gers et al. 2002). Coupled gates: Greff et al. 2017. Clipping and
    projection: Sak et al. 2014. Layer normalisation: `LayerNorm`. NaN and infinity pass through.

    Examples
    --------
    >>> import numpy as np, pylstm
    >>> rng = np.random.default_rng(0)
    >>> x, w_ih, w_hh = rng.normal(size=(2, 5, 3)), rng.normal(size=(16, 3)), rng.normal(size=(16, 4))
    >>> out = pylstm.lstm_forward(x, w_ih, w_hh, lengths=[5, 2])
    >>> out.y.shape, out.h_n.shape
    ((2, 5, 4), (2, 4))
    >>> bool((out.h_n[1] == out.y[1, 1]).all())
    True
    """
    return LSTMOutput._make(
        _core.layer_forward(
            _cell(peephole, checked_flag("coupled", coupled), cell_clip, layer_norm),
            x,
            weight_ih,
            weight_hh,
            bias,
            None,
            peephole,
            layer_norm,
            weight_hr,
            cell_clip,
            checked_activations(activations, ("f", "g", "h")),
            h0,
            c0,
            lengths,
            checked_flag("reverse", reverse),
            checked_flag("training", training),
        )
    )


def lstm_backward(
    tape: Any,
    dy: ArrayLike | None = None,
    *,
    dh_n: ArrayLike | None = None,
    dc_n: ArrayLike | None = None,
) -> LSTMGradients:
    """Backpropagate through time.

    Parameters
    ----------
    tape : Tape
        Of ``lstm_forward(..., training=True)``. It holds its own copies and may be used any number of times.
    dy : array-like of shape (N, T, H), or (N, T, P) with weight_hr of shape (P, H), optional
        Gradient of the loss with respect to y. Default: zeros. Values past the end of a row are ignored.
    dh_n : array-like of shape (N, H), or (N, P), optional
        Gradient with respect to h_n. Default: zeros.
    dc_n : array-like of shape (N, H), optional
        Gradient with respect to c_n. Default: zeros.

    Returns
    -------
    LSTMGradients
        Gradients with respect to x, weight_ih, weight_hh, bias, h0 and c0, the last three also where they were not
        given; and to peephole, layer_norm and weight_hr, None where they were not given.

    Raises
    ------
    TypeError
        If `tape` is not a tape, or a gradient is not of real numbers.
    ValueError
        If shapes disagree.

    Notes
    -----
    Werbos 1990. Sums over time and batch are taken in one fixed order: the bits do not depend on the number of threads.

    Examples
    --------
    >>> import numpy as np, pylstm
    >>> out = pylstm.lstm_forward(np.ones((1, 3, 1)), np.ones((8, 1)), np.ones((8, 2)), training=True)
    >>> pylstm.lstm_backward(out.tape, dh_n=np.ones((1, 2))).weight_hh.shape
    (8, 2)
    """
    x, weight_ih, weight_hh, bias, _, units, weight_hr, h0, c0 = _core.layer_backward("lstm", tape, dy, dh_n, dc_n)
    normalized = len(units) > len(bias)  # gains of both products: more than there are biases or peepholes
    return LSTMGradients(
        x,
        weight_ih,
        weight_hh,
        bias,
        h0,
        c0,
        peephole=units if len(units) and not normalized else None,
        layer_norm=LayerNormGradients._of(units, 4, has_memory=True) if normalized else None,
        weight_hr=weight_hr if len(weight_hr) else None,
    )


def lstm_step(
    x_t: ArrayLike,
    h: ArrayLike | None,
    c: ArrayLike | None,
    weight_ih: ArrayLike,
    weight_hh: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    peephole: ArrayLike | None = None,
    coupled: Flag = False,
    cell_clip: float | None = None,
    layer_norm: LayerNorm | None = None,
    weight_hr: ArrayLike | None = None,
    activations: Iterable[Activation] | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Run one time step. A sequence of steps gives the bits of `lstm_forward`.

    Parameters
    ----------
    x_t : array-like of shape (N, I)
        Input of this step; its type decides that of the computation.
    h, c : array-like of shape (N, H), or None
        States before it. None: zeros. With `weight_hr` of shape (P, H) h has P columns.
    weight_ih, weight_hh, bias, peephole, coupled, cell_clip, layer_norm, weight_hr, activations
        As for `lstm_forward`.

    Returns
    -------
    h, c : ndarray of shape (N, H)
        States after it, shaped as those before; new arrays.

    Raises
    ------
    TypeError, ValueError
        As for `lstm_forward`.

    Examples
    --------
    >>> import numpy as np, pylstm
    >>> h, c = pylstm.lstm_step(np.ones((1, 1)), np.zeros((1, 2)), np.zeros((1, 2)), np.ones((8, 1)), np.ones((8, 2)))
    >>> h.shape
    (1, 2)
    """
    return _core.layer_step(
        _cell(peephole, checked_flag("coupled", coupled), cell_clip, layer_norm),
        x_t,
        h,
        c,
        weight_ih,
        weight_hh,
        bias,
        None,
        peephole,
        layer_norm,
        weight_hr,
        cell_clip,
        checked_activations(activations, ("f", "g", "h")),
    )


def _cell(peephole: ArrayLike | None, coupled: bool, cell_clip: float | None, layer_norm: LayerNorm | None) -> str:
    if layer_norm is None:
        return "coupled_lstm" if coupled else "lstm"
    if not isinstance(layer_norm, LayerNorm):
        msg = f"layer_norm is {type(layer_norm).__name__}, expected LayerNorm or None"
        raise TypeError(msg)
    for name, given in (("peephole", peephole is not None), ("coupled", coupled), ("cell_clip", cell_clip is not None)):
        if given:
            msg = f"{name} and layer_norm are both given, expected one of them"
            raise ValueError(msg)
    return "layernorm_lstm"
