"""Parts of kernels have no machine code of their own, and kernels that call them do what they say."""

import numba
import numpy as np
import pytest

from featsim.kernels._jit import inner

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")


@inner
def _square(x):
    return x * x


@inner
def _fill(values, out):
    for i in range(values.shape[0]):
        out[i] = _square(values[i]) + 1.0


def test_a_part_is_code_of_its_kernel_only():
    @numba.njit  # not from a cache, where its parts would not be compiled
    def squares(values, out):
        _fill(values, out)
        return _square(out[0])

    out = np.empty(3)
    assert squares(np.array([1.0, 2.0, -3.0]), out) == 4.0
    assert out.tolist() == [2.0, 5.0, 10.0]
    for part in (_fill, _square):
        compiled = part.overloads[part.signatures[0]]
        assert compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name) == 0
    (kernel,) = squares.overloads.values()
    assert kernel.library.get_pointer_to_function(kernel.fndesc.llvm_func_name) != 0


def test_a_part_serves_several_kernels_and_types():
    @numba.njit
    def twice(x):
        return _square(x) + _square(x + 1)

    assert twice(2) == 13
    assert twice(0.5) == 2.5
