"""Products of kernels: SciPy's BLAS alone is loaded, and on one thread."""

import subprocess
import sys
import textwrap

import threadpoolctl

from featsim.kernels.blas import one_thread


def run(code):
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.split()


TRAIN = """
    import sys
    import numpy as np
    from featsim import PatchDataSpec, Schedule, TwoLayerSpec, sample_patches, train
    {before}
    rng = np.random.default_rng(0)
    data = sample_patches(PatchDataSpec(), n_samples=8, rng=rng)
    trace = train(TwoLayerSpec(), data, schedule=Schedule(n_steps=2), rng=rng)
    print("scipy.linalg" in sys.modules)
    import scipy.linalg, scipy.linalg.cython_blas as blas
    print(scipy.linalg.solve([[2.0]], [3.0])[0], "dgemm" in blas.__pyx_capi__, trace.final_weights.sum())
"""


def test_a_training_loads_blas_without_the_rest_of_its_package_which_still_works():
    alone, solved, there, total = run(TRAIN.format(before=""))
    assert (alone, solved, there) == ("False", "1.5", "True")
    assert run(TRAIN.format(before="import scipy.linalg")) == ["True", "1.5", "True", total]


def test_one_thread_within_and_the_same_as_before_after():
    def threads():
        return [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]

    with one_thread():
        assert threads() and set(threads()) == {1}
    before = threads()
    with one_thread():
        pass
    assert threads() == before
