"""Steps that follow each other take no fresh memory from the system."""

from __future__ import annotations

import sys
import textwrap

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="counted for what the Linux allocator maps")
@pytest.mark.parametrize("kept", [True, False], ids=["the last step's results are kept", "results are let go of"])
def test_a_training_step_meets_no_page_faults_after_the_first_ones(run_python, kept):
    code = f"""
    import resource
    import numpy as np
    from pylstm import lstm_backward, lstm_forward

    x, dy = np.ones((32, 64, 32), np.float32), np.ones((32, 64, 64), np.float32)
    weight_ih, weight_hh = np.ones((256, 32), np.float32), np.ones((256, 64), np.float32)

    def faults_of_steps(count):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(count):
            out = lstm_forward(x, weight_ih, weight_hh, training=True)
            gradients = lstm_backward(out.tape, dy)
            if not {kept}:
                del out, gradients
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    faults_of_steps(20)
    faults = faults_of_steps(20)
    assert faults < 1000, faults  # a step's results and tape have 1000 pages
    """
    run_python(textwrap.dedent(code))
