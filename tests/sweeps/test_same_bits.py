"""Seeds give the same bits for any number of processes and any thread settings of the environment.

The sizes are odd ones, at which a BLAS that may use two threads rounds differently on AVX2.
"""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from featsim.attacks import fgm, pgd
from featsim.data import PatchDataSpec, SparseCodingSpec, sample_patches, sample_sparse_coding
from featsim.models import SymmetricNetworkSpec, TwoLayerSpec
from featsim.sweeps import map_runs
from featsim.threats import Threat
from featsim.training import RampSchedule, Schedule, train

_ATTACKS = {
    "clean": None,
    "l2": pgd(Threat(radius=0.3, scope="input"), 2, keep="last"),
    "linf": pgd(Threat(radius=0.02, norm="linf"), 2, keep="last"),
}
ITEMS = [("patches", name) for name in _ATTACKS] + [("symmetric", "clean"), ("symmetric", "fgm")]
_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS")


def run(item):
    """Train for a few steps; return a digest of all that was recorded."""
    model, attack = item
    rng = np.random.default_rng(3)
    if model == "patches":
        data = sample_patches(PatchDataSpec(n_classes=3, dim=251, noise_std=0.05), 72, rng)
        network, schedule = TwoLayerSpec(width=67, init_std=0.1), Schedule(n_steps=4, step_size=0.5)
        trace = train(network, data, schedule=schedule, attack=_ATTACKS[attack], rng=rng)
    else:
        data = sample_sparse_coding(SparseCodingSpec(dim=97, sparsity=4.0), 600, rng)
        trace = train(
            SymmetricNetworkSpec(width=203),
            data,
            schedule=RampSchedule(n_steps=4, step_size=0.01),
            attack=fgm(Threat(radius=0.1, scope="input")) if attack == "fgm" else None,
            rng=rng,
        )
    assert trace.status == "completed"
    found = hashlib.sha256()
    for name in sorted(trace):
        found.update(name.encode() + np.ascontiguousarray(trace[name]).tobytes())
    return found.hexdigest()


def elsewhere(jobs, threads, **environment):
    """Return the digests from a fresh interpreter in whose environment all thread variables are set."""
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}; sys.path.insert(0, {os.path.dirname(__file__)!r})\n"
        "import json\n"
        "import test_same_bits as child\n"
        f"print(json.dumps(child.map_runs(child.run, child.ITEMS, jobs={jobs})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **dict.fromkeys(_VARIABLES, threads), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def here():
    return map_runs(run, ITEMS)


@pytest.mark.parametrize(("jobs", "threads"), [(1, "1"), (1, "2"), (1, "4"), (2, "4")])
def test_processes_and_threads_change_no_bit(jobs, threads, here):
    assert elsewhere(jobs, threads) == here
    assert len(set(here)) == len(ITEMS)


@pytest.mark.slow  # compiles all kernels anew
def test_a_process_that_compiles_gives_the_bits_of_one_that_loads(tmp_path, here):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path)}
    assert elsewhere(1, "1", **cache) == elsewhere(1, "1", **cache) == here
