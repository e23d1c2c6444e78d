"""`Stream` for Cython code: ``from pylstm.streaming cimport Stream``, then ``step_float``, ``run_float`` or those of double without the GIL."""

ctypedef void (*stream_step)(void* self, const void* x, void* outputs) noexcept nogil
ctypedef void (*stream_run)(void* self, const void* x, void* outputs, size_t steps) noexcept nogil

cdef class Stream:
    cdef readonly Py_ssize_t batch_size, n_features, n_outputs
    cdef readonly object dtype
    cdef readonly bint is_double

    # Private. Plain pointers: who cimports this needs no header.
    cdef void* _interface
    cdef void* _self
    cdef stream_step _step
    cdef stream_run _run
    cdef object _owner, _shape, _row_shape
    cdef bint _long_steps, _busy

    # One step of all rows: x (batch_size, n_features), outputs (batch_size, n_outputs), C-contiguous, of the stream's
    # type. Returns 0, or -1 if the stream is of the other type, whose step was not taken. One thread at a time.
    cdef int step_float(self, const float* x, float* outputs) noexcept nogil
    cdef int step_double(self, const double* x, double* outputs) noexcept nogil

    # Several of them: x (steps, batch_size, n_features), outputs (steps, batch_size, n_outputs).
    cdef int run_float(self, const float* x, float* outputs, size_t steps) noexcept nogil
    cdef int run_double(self, const double* x, double* outputs, size_t steps) noexcept nogil

    cdef bint _view(self, object array, Py_buffer* view, Py_ssize_t width, int flags)
    cdef object _step_scalar(self, double x, object out)
    cdef int _advance(self, const void* x, void* outputs) except -1
    cdef int _take(self, const char* x, char* outputs, size_t steps) except -1
    cdef int _check_idle(self) except -1
