"""A trained network one time step at a time, with the bits of `predict` and little more than the arithmetic.

Cython code steps without the GIL: see streaming.pxd.
"""

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_FORMAT,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_CheckBuffer,
    PyObject_GetBuffer,
)
from cpython.exc cimport PyErr_CheckSignals
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport uint64_t

import operator

import numpy as np

__all__ = ["Stream"]

cdef extern from "stream_interface.h" nogil:
    const char* PYLSTM_STREAM_CAPSULE
    cdef struct pylstm_stream:
        void* self
        int is_double
        size_t rows, inputs, outputs, step_products, parts, state_size
        void step(void* self, const void* x, void* outputs) noexcept nogil
        void run(void* self, const void* x, void* outputs, size_t steps) noexcept nogil
        void reset(void* self, size_t row) noexcept
        const char* part_name(void* self, size_t part) noexcept
        size_t part_width(void* self, size_t part) noexcept
        void save(void* self, void* values, uint64_t* steps) noexcept
        void load(void* self, const void* values, const uint64_t* steps) noexcept

# Multiply-adds, about 50 us: steps below it keep the GIL, since to get it back may take longer than they do.
cdef size_t LONG_STEP = 1_000_000
# And 30 to 130 ms: so often a run asks for signals.
cdef size_t BETWEEN_SIGNALS = 1_000_000_000

# More rows than any memory has states of.
MOST_ROWS = 2**40

cdef object empty = np.empty


cdef class Stream:
    """A trained network that takes one time step at a time.

    After every step the output has the bits that the network gives for the steps since the last reset: what `predict`
    gives for them or, of classifiers, `decision_function`; where every step has a target, that of the latest step. Of
    counts it is the logarithm, and quantiles are not sorted. What `predict` refuses is not looked for here: after a NaN,
    or a token that the model does not know, outputs are NaN until the row is reset.

    Parameters
    ----------
    model : fitted estimator or loaded model
        Not bidirectional. Streams of one model share its weights; training it further changes no stream.
    batch_size : int, default=1
        Sequences side by side, which step together.

    Attributes
    ----------
    batch_size, n_features, n_outputs : int
        Sizes of a step.
    dtype : numpy.dtype
        float32 or float64, as the model's.

    Raises
    ------
    TypeError
        If `model` has no network.
    ValueError
        If `model` is bidirectional, reads with attention or takes missing values, or `batch_size` is less than 1.

    Notes
    -----
    Steps of more than a million multiply-adds release the GIL. One stream is for one thread at a time. Cython code steps
    without the GIL: ``from pylstm.streaming cimport Stream``, methods ``step_float``, ``step_double``, ``run_float`` and
    ``run_double``.

    Examples
    --------
    >>> import numpy as np
    >>> from pylstm import LSTMRegressor, Stream, make_windows
    >>> X, y = make_windows(np.sin(0.1 * np.arange(500)), n_timesteps=20)
    >>> model = LSTMRegressor(hidden_size=8, max_iter=2, random_state=0).fit(X, y)
    >>> stream = Stream(model)
    >>> for x in X[0]:
    ...     output = stream.step(x)
    >>> bool(output == model.predict(X[:1]))
    True
    """

    def __cinit__(self, model, batch_size=1):
        cdef pylstm_stream* interface
        opener = getattr(type(model), "_open_stream", None)
        if opener is None:
            msg = f"model is {type(model).__name__}, expected a fitted estimator or a loaded model of pylstm"
            raise TypeError(msg)
        rows = _integer("batch_size", batch_size)
        if rows < 1:
            msg = f"batch_size is {rows}, expected at least 1"
            raise ValueError(msg)
        if rows > MOST_ROWS:
            msg = f"batch_size is {rows}, expected at most {MOST_ROWS}"
            raise ValueError(msg)
        self._owner = opener(model, rows)
        interface = <pylstm_stream*>PyCapsule_GetPointer(self._owner, PYLSTM_STREAM_CAPSULE)
        self._interface = interface
        self._self = interface.self
        self._step = interface.step
        self._run = interface.run
        self.batch_size = interface.rows
        self.n_features = interface.inputs
        self.n_outputs = interface.outputs
        self.is_double = interface.is_double
        self.dtype = np.dtype(np.float64 if interface.is_double else np.float32)
        self._shape = (self.batch_size, self.n_outputs)
        self._row_shape = (self.n_outputs,)
        self._long_steps = interface.step_products > LONG_STEP

    def step(self, x_t, out=None):
        """Take one time step.

        Parameters
        ----------
        x_t : array-like of shape (batch_size, n_features)
            Of any real type; of the stream's own type it is read in place. A stream of one row takes (n_features,) too,
            and with one feature a number.
        out : ndarray of shape (batch_size, n_outputs), optional
            Of the stream's type, C-contiguous: where the outputs go. Default: a new array.

        Returns
        -------
        outputs : ndarray of shape (batch_size, n_outputs), or (n_outputs,), or float
            Of the stream's type; `out` if given. (n_outputs,) for an `x_t` of that many dimensions. A float for a
            number, if there is one output.

        Raises
        ------
        TypeError
            If `x_t` is not of real numbers, or `out` is of another type.
        ValueError
            If a shape is wrong.
        """
        cdef Py_buffer x, y
        self._check_idle()
        if PyFloat_CheckExact(x_t) and self.n_features == 1 and self.batch_size == 1:
            return self._step_scalar(PyFloat_AS_DOUBLE(x_t), out)
        if not self._view(x_t, &x, self.n_features, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT):
            x_t = self._converted(x_t)
            if x_t.ndim == 0:
                return self._step_scalar(x_t, out)
            if not self._view(x_t, &x, self.n_features, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT):
                raise AssertionError
        try:
            if out is None:
                out = empty(self._row_shape if x.ndim == 1 else self._shape, self.dtype)
                PyObject_GetBuffer(out, &y, PyBUF_WRITABLE)
            elif not self._view(out, &y, self.n_outputs, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | PyBUF_WRITABLE):
                self._refuse(out)
            try:
                self._advance(x.buf, y.buf)
            finally:
                PyBuffer_Release(&y)
        finally:
            PyBuffer_Release(&x)
        return out

    def run(self, x, out=None):
        """Take several time steps: what `step` would give for one after the other, and sooner.

        Parameters
        ----------
        x : array-like of shape (n_timesteps, batch_size, n_features)
            Of any real type; of the stream's own type it is read in place. A stream of one row takes (n_timesteps,
            n_features) too, and with one feature (n_timesteps,).
        out : ndarray of shape (n_timesteps, batch_size, n_outputs), optional
            Of the stream's type, C-contiguous: where the outputs go, of the shape that is returned without it. It may be
            `x` itself. Default: a new array.

        Returns
        -------
        outputs : ndarray of shape (n_timesteps, batch_size, n_outputs), (n_timesteps, n_outputs) or (n_timesteps,)
            Of the stream's type, after each step; `out` if given. Of as many dimensions as `x`, but (n_timesteps,
            n_outputs) for an `x` of one dimension if there are several outputs.

        Raises
        ------
        TypeError
            If `x` is not of real numbers, or `out` is of another type.
        ValueError
            If a shape is wrong.
        KeyboardInterrupt
            Some 0.1 s after Ctrl-C, between two steps: those before it have been taken.
        """
        cdef Py_buffer values, outputs
        self._check_idle()
        array = _real_array("x", x)
        shape = self._run_shape(array.shape)
        array = np.require(array, self.dtype, ("C", "A"))
        if out is None:
            out = empty(shape, self.dtype)
        elif not isinstance(out, np.ndarray) or out.dtype != self.dtype:
            self._refuse_type(out)
        elif out.shape != shape or not (out.flags.c_contiguous and out.flags.aligned and out.flags.writeable):
            msg = f"out has shape {out.shape}, expected {shape}, C-contiguous, aligned and writable"
            raise ValueError(msg)
        elif np.may_share_memory(array, out):
            array = array.copy()
        PyObject_GetBuffer(array, &values, PyBUF_C_CONTIGUOUS)
        try:
            PyObject_GetBuffer(out, &outputs, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
            try:
                self._take(<const char*>values.buf, <char*>outputs.buf, len(array))
            finally:
                PyBuffer_Release(&outputs)
        finally:
            PyBuffer_Release(&values)
        return out

    def reset(self, rows=None):
        """Forget all steps.

        Parameters
        ----------
        rows : int or array-like of int or of bool, optional
            Which sequences begin anew: numbers, or a mask of shape (batch_size,). Default: all.

        Raises
        ------
        IndexError
            If there is no such row, or a mask has another shape.
        TypeError
            If rows are neither integers nor bools.
        """
        cdef pylstm_stream* interface = <pylstm_stream*>self._interface
        cdef Py_ssize_t row
        self._check_idle()
        if rows is None:
            chosen = range(self.batch_size)
        else:
            array = np.asarray(rows)
            if array.dtype == bool:
                if array.shape != (self.batch_size,):
                    msg = f"rows has shape {array.shape}, expected ({self.batch_size},): a mask of the batch"
                    raise IndexError(msg)
                array = np.flatnonzero(array)
            elif array.size and array.dtype.kind not in "iu":
                msg = f"rows has dtype {array.dtype}, expected integers or bool"
                raise TypeError(msg)
            chosen = array.ravel().tolist()
            for number in chosen:
                if not 0 <= number < self.batch_size:
                    msg = f"rows has {number}, expected numbers from 0 to {self.batch_size - 1}"
                    raise IndexError(msg)
        for row in chosen:
            interface.reset(self._self, row)

    @property
    def n_steps(self):
        """Steps of each row since it was reset, an ndarray of shape (batch_size,)."""
        return self.state["n_steps"]

    @property
    def state(self):
        """All that the stream remembers, as a dict of new arrays that can be pickled, and loaded by assignment.

        ``layers.0.h`` (batch_size, hidden_size) and for LSTMs ``layers.0.c``, for every layer; ``pooled``, the sum or
        the maximum over the steps, where the model reads that; and ``n_steps`` (batch_size,).
        """
        cdef pylstm_stream* interface = <pylstm_stream*>self._interface
        cdef uint64_t[::1] steps
        cdef float[::1] floats
        cdef double[::1] doubles
        self._check_idle()
        values = empty(interface.state_size, self.dtype)
        n_steps = empty(self.batch_size, np.uint64)
        steps = n_steps
        if self.is_double:
            doubles = values
            interface.save(self._self, &doubles[0], &steps[0])
        else:
            floats = values
            interface.save(self._self, &floats[0], &steps[0])
        state = {name: values[begin:end].reshape(self.batch_size, -1).copy() for name, begin, end in self._parts()}
        state["n_steps"] = n_steps.astype(np.int64)
        return state

    @state.setter
    def state(self, state):
        cdef pylstm_stream* interface = <pylstm_stream*>self._interface
        cdef const uint64_t[::1] steps
        cdef const float[::1] floats
        cdef const double[::1] doubles
        self._check_idle()
        if not hasattr(state, "keys"):
            msg = f"state is {type(state).__name__}, expected a mapping of names to arrays"
            raise TypeError(msg)
        parts = self._parts()
        expected = {name for name, _, _ in parts} | {"n_steps"}
        if set(state) != expected:
            msg = f"state has the names {sorted(state)}, expected {sorted(expected)}"
            raise ValueError(msg)
        values = empty(interface.state_size, self.dtype)
        for name, begin, end in parts:
            array = _real_array(name, state[name])
            shape = (self.batch_size, (end - begin) // self.batch_size)
            if array.shape != shape:
                msg = f"state[{name!r}] has shape {array.shape}, expected {shape}"
                raise ValueError(msg)
            values[begin:end] = array.ravel()
        n_steps = np.asarray(state["n_steps"])
        if n_steps.shape != (self.batch_size,) or n_steps.dtype.kind not in "iu" or (n_steps < 0).any():
            msg = f"state['n_steps'] is {n_steps!r}, expected {self.batch_size} integers, none negative"
            raise ValueError(msg)
        steps = n_steps.astype(np.uint64)
        if self.is_double:
            doubles = values
            interface.load(self._self, &doubles[0], &steps[0])
        else:
            floats = values
            interface.load(self._self, &floats[0], &steps[0])

    def __reduce__(self):
        msg = "a Stream cannot be pickled: pickle the model and stream.state"
        raise TypeError(msg)

    cdef int step_float(self, const float* x, float* outputs) noexcept nogil:
        if self.is_double:
            return -1
        self._step(self._self, x, outputs)
        return 0

    cdef int step_double(self, const double* x, double* outputs) noexcept nogil:
        if not self.is_double:
            return -1
        self._step(self._self, x, outputs)
        return 0

    cdef int run_float(self, const float* x, float* outputs, size_t steps) noexcept nogil:
        if self.is_double:
            return -1
        self._run(self._self, x, outputs, steps)
        return 0

    cdef int run_double(self, const double* x, double* outputs, size_t steps) noexcept nogil:
        if not self.is_double:
            return -1
        self._run(self._self, x, outputs, steps)
        return 0

    cdef int _take(self, const char* x, char* outputs, size_t steps) except -1:
        cdef size_t number = sizeof(double) if self.is_double else sizeof(float)
        cdef size_t x_step = number * self.batch_size * self.n_features
        cdef size_t y_step = number * self.batch_size * self.n_outputs
        cdef size_t products = (<pylstm_stream*>self._interface).step_products
        cdef size_t most = max(<size_t>1, BETWEEN_SIGNALS // max(<size_t>1, products)), done = 0, now
        if steps <= LONG_STEP // max(<size_t>1, products):
            self._run(self._self, x, outputs, steps)
            return 0
        self._busy = True
        try:
            while done < steps:
                now = min(most, steps - done)
                with nogil:
                    self._run(self._self, x + done * x_step, outputs + done * y_step, now)
                done += now
                PyErr_CheckSignals()
        finally:
            self._busy = False
        return 0

    cdef int _advance(self, const void* x, void* outputs) except -1:
        if not self._long_steps:
            self._step(self._self, x, outputs)
            return 0
        self._busy = True
        with nogil:
            self._step(self._self, x, outputs)
        self._busy = False
        return 0

    cdef int _check_idle(self) except -1:
        if self._busy:
            msg = "the stream is taking a step in another thread"
            raise RuntimeError(msg)
        return 0

    # Whether `array` is (batch_size, width), or (width,) for one row, of the stream's type and contiguous.  Then `view`
    # is its buffer, to be released.
    cdef bint _view(self, object array, Py_buffer* view, Py_ssize_t width, int flags):
        if not PyObject_CheckBuffer(array):
            return False
        try:
            PyObject_GetBuffer(array, view, flags)
        except (BufferError, ValueError):
            return False
        if (
            view.format != NULL
            and view.format[0] == (c"d" if self.is_double else c"f")
            and view.format[1] == 0
            and (
                (view.ndim == 2 and view.shape[0] == self.batch_size and view.shape[1] == width)
                or (view.ndim == 1 and self.batch_size == 1 and view.shape[0] == width)
            )
        ):
            return True
        PyBuffer_Release(view)
        return False

    cdef object _step_scalar(self, double x, object out):
        cdef float x_float = <float>x, y_float = 0
        cdef double y_double = 0
        if out is not None or self.n_outputs != 1:
            return self.step(np.array([x], self.dtype), out)
        if self.is_double:
            self._advance(&x, &y_double)
            return y_double
        self._advance(&x_float, &y_float)
        return y_float

    def _converted(self, x_t):
        array = _real_array("x_t", x_t)
        shape = (self.batch_size, self.n_features)
        usable = array.shape == shape or (
            self.batch_size == 1 and (array.shape == shape[1:] or (array.ndim == 0 and self.n_features == 1))
        )
        if not usable:
            either = f" or {shape[1:]}" if self.batch_size == 1 else ""
            msg = f"x_t has shape {array.shape}, expected {shape}{either}: batch_size, n_features"
            raise ValueError(msg)
        return np.require(array, self.dtype, ("C", "A"))

    def _run_shape(self, shape):
        # That of the outputs of steps x of this shape.
        width = (self.batch_size, self.n_features)
        if len(shape) == 3 and shape[1:] == width:
            return (shape[0], *self._shape)
        if self.batch_size == 1 and len(shape) == 2 and shape[1:] == width[1:]:
            return (shape[0], *self._row_shape)
        if self.batch_size == 1 and len(shape) == 1 and self.n_features == 1:
            return shape if self.n_outputs == 1 else (shape[0], *self._row_shape)
        either = f" or (n_timesteps, {self.n_features})" if self.batch_size == 1 else ""
        msg = (
            f"x has shape {shape}, expected (n_timesteps, {self.batch_size}, {self.n_features}){either}: "
            "steps, batch_size, n_features"
        )
        raise ValueError(msg)

    def _refuse_type(self, out):
        got = out.dtype if isinstance(out, np.ndarray) else type(out).__name__
        msg = f"out is {got}, expected an array of {self.dtype}"
        raise TypeError(msg)

    def _refuse(self, out):
        if not isinstance(out, np.ndarray) or out.dtype != self.dtype:
            self._refuse_type(out)
        either = f" or {self._row_shape}" if self.batch_size == 1 else ""
        msg = f"out has shape {out.shape}, expected {self._shape}{either}, C-contiguous, aligned and writable"
        raise ValueError(msg)

    def _parts(self):
        # (name, begin, end) of every array among the values of a state.
        cdef pylstm_stream* interface = <pylstm_stream*>self._interface
        cdef size_t part
        parts, begin = [], 0
        for part in range(interface.parts):
            end = begin + self.batch_size * interface.part_width(self._self, part)
            parts.append((interface.part_name(self._self, part).decode(), begin, end))
            begin = end
        return parts


def _integer(name, value):
    if isinstance(value, (bool, np.bool_)):
        msg = f"{name} is {value}, expected an integer"
        raise TypeError(msg)
    try:
        return operator.index(value)
    except TypeError:
        msg = f"{name} is {value!r}, expected an integer"
        raise TypeError(msg) from None


def _real_array(name, value):
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        msg = f"{name} has dtype {array.dtype}, expected real numbers"
        raise TypeError(msg)
    return array
