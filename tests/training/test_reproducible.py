"""The same bits whatever the environment says about threads, and a look for indices out of bounds."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from featsim.attacks import margin_step, pgd
from featsim.data import PatchDataSpec, patch_data, sample_patches
from featsim.models import TwoLayerSpec
from featsim.threats import Threat
from featsim.training import Recording, Schedule, train

PIXELS = np.array([[0, 1, 2, 3], [2, 3, 4, 5]])


def trajectories(n_steps):
    """Runs through every representation of the perturbation, with blocks, batches and recording."""
    rng = np.random.default_rng(2)
    spec = PatchDataSpec(n_classes=3, n_nonrobust_patches=20, dim=8, noise_std=0.05)
    data = sample_patches(spec, 30, rng)
    schedule = Schedule(n_steps=n_steps, step_size=0.5)
    images = patch_data(rng.uniform(size=(5, 6))[:, PIXELS], [0, 1, 1, 0, 1], pixel_map=PIXELS)
    recording = Recording(weights_at=(0, n_steps))
    for attack in (
        None,
        margin_step(Threat(radius=0.3), 1000.0),
        pgd(Threat(radius=0.5, scope="input"), 3, keep="last"),
        pgd(Threat(radius=0.05, norm="linf"), 3, keep="last"),
        margin_step(Threat(radius=0.3, subspace="own"), 10.0),
        pgd(Threat(radius=0.5, scope="input"), 2, n_random=1, starts=("random",), keep="last"),
        pgd(Threat(radius=0.05, norm="linf"), 2, n_random=1, starts=("random",), keep="last"),
    ):
        for batches in (None, rng.integers(0, 30, (n_steps, 13))):
            yield train(TwoLayerSpec(width=4, init_std=0.3), data, schedule=schedule, attack=attack,
                        recording=recording, rng=rng, batches=batches)  # fmt: skip
    yield train(TwoLayerSpec(width=4, power=2.5), images, schedule=schedule, rng=rng, recording=recording,
                attack=pgd(Threat(radius=0.3, scope="input"), 3, keep="last"))  # fmt: skip


def digest(n_steps):
    found = hashlib.sha256()
    for trace in trajectories(n_steps):
        assert trace.status == "completed"
        for name in sorted(trace):
            found.update(name.encode() + np.ascontiguousarray(trace[name]).tobytes())
    return found.hexdigest()


def in_a_process(expression, **environment):
    """Return what an expression gives in a fresh interpreter with these variables set."""
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "import importlib.util\n"
        f"spec = importlib.util.spec_from_file_location('child', {__file__!r})\n"
        "child = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(child)\n"
        "import json\n"
        f"print({expression})"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.fixture(scope="module")
def expected():
    return digest(40)


def test_running_again_gives_the_same_bits(expected):
    assert digest(40) == expected


@pytest.mark.parametrize("threads", ["1", "2"])
def test_thread_settings_in_the_environment_change_no_bit(threads, expected):
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    assert in_a_process("child.digest(40)", **dict.fromkeys(names, threads)) == expected


@pytest.mark.slow  # compiles the kernel anew, which takes 30 s
def test_no_index_is_out_of_bounds(tmp_path, expected):
    found = in_a_process("child.digest(40)", NUMBA_BOUNDSCHECK="1", NUMBA_CACHE_DIR=str(tmp_path))
    assert len(found) == len(expected)  # an index out of bounds would have been an IndexError


def small():
    """A few steps of each representation, cheap enough for plain Python."""
    rng = np.random.default_rng(0)
    data = sample_patches(PatchDataSpec(n_classes=2, n_nonrobust_patches=2, dim=4), 2, rng)
    weights = 0.5 * rng.standard_normal((2, 2, 4))
    for attack in (
        None,
        margin_step(Threat(radius=0.3), 2.0),
        pgd(Threat(radius=0.1, norm="linf"), 2, keep="last"),
        margin_step(Threat(radius=0.3, scope="input", subspace="own"), 2.0),
        pgd(Threat(radius=0.3), 2, n_random=1, starts=("random",), keep="last"),
        pgd(Threat(radius=0.3, subspace="own"), 1, n_random=1, starts=("random",), keep="last"),
    ):
        trace = train(TwoLayerSpec(width=2), data, schedule=Schedule(n_steps=3), attack=attack,
                      initial_weights=weights, rng=rng)  # fmt: skip
        yield {name: trace[name].tolist() for name in trace}


def test_kernels_run_as_plain_python():
    """What coverage measures is the same computation, without a warning, and NumPy checks its bounds."""
    plain = json.loads(in_a_process("json.dumps(list(child.small()))", NUMBA_DISABLE_JIT="1"))
    for found, expected in zip(plain, small(), strict=True):
        for name in expected:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-12, atol=1e-15, err_msg=name)
