# cython: language_level=3, boundscheck=False, wraparound=False
"""A control loop in Cython: the network's last output is an input of the next step, and no step holds the GIL.

Build: ``cythonize -i feedback.pyx``; tests/streaming/test_cython.py builds and runs it.
"""

from pylstm.streaming cimport Stream


def run(Stream stream, const float[::1] measured, float[::1] commands):
    """Fill `commands` (n_steps,) from `measured` (n_steps,) and, at each step, the command before.

    The stream has two features, one output, one row and float32 weights.
    """
    cdef Py_ssize_t t
    cdef float[2] x
    cdef float command = 0
    if stream.batch_size != 1 or stream.n_features != 2 or stream.n_outputs != 1 or stream.is_double:
        msg = "expected a float32 stream of one row, two features and one output"
        raise ValueError(msg)
    if commands.shape[0] != measured.shape[0]:
        msg = f"commands has {commands.shape[0]} elements, expected {measured.shape[0]} (as measured)"
        raise ValueError(msg)
    with nogil:
        for t in range(measured.shape[0]):
            x[0] = measured[t]
            x[1] = command
            stream.step_float(x, &command)
            commands[t] = command
