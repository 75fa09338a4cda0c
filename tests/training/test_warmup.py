"""Kernels compiled in advance: every kind that a run can have."""

import itertools
import os
import subprocess
import sys
import textwrap

import numba
import numpy as np
import pytest

from featsim.kernels import patch_network as kernel
from featsim.training import Schedule, warm_up, warmup
from featsim.training.preparation import prepare_run

COEFFICIENT, EXPLICIT = "coefficients", "explicit"
MODES = {
    kernel.CLEAN: "clean",
    kernel.COEFFICIENT: COEFFICIENT,
    kernel.DIRECT: EXPLICIT,
    kernel.SUBSPACE: EXPLICIT,
}


def kinds(precision, **more):
    """Return what the kernel is compiled for, one entry per run: type, few neurons, attack, random starts."""
    found = []
    for label, run in warmup._runs(precision, more.get("random_starts", False), more.get("wide", False)):
        stepper, _ = prepare_run(
            **run, schedule=Schedule(n_steps=1, precision=precision), recording=None,
            rng=np.random.default_rng(0), initial_weights=None, batches=None, reduction="never",
        )  # fmt: skip
        if label == "symmetric":
            found.append((label,))
            continue
        k, m, d = stepper.initial_state()["weights"].shape
        few = kernel.few_neurons(k * m, d, run["model"].power, stepper._dtype)
        found.append((stepper._dtype.name, few, MODES[stepper._plan.mode], stepper._starts(0) is not None))
    return found


def test_the_usual_kinds_are_compiled_once_each():
    assert kinds("float64") == [
        ("float64", True, "clean", False), ("float64", True, COEFFICIENT, False),
        ("float64", True, EXPLICIT, False), ("symmetric",),
    ]  # fmt: skip


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_all_are_every_kind_once(precision):
    attacked = itertools.product((COEFFICIENT, EXPLICIT), (False, True))
    modes = [("clean", False), *attacked]
    every = [(precision, few, *mode) for few in (True, None) for mode in modes]
    if precision == "float64":
        every.append(("symmetric",))
    found = kinds(precision, random_starts=True, wide=True)
    assert len(found) == len(every) and set(found) == set(every)


def test_labels_tell_kinds_apart():
    labels = [
        label
        for precision in ("float64", "float32")
        for label, _ in warmup._runs(precision, random_starts=True, wide=True)
    ]
    assert len(set(labels)) == len(labels) == 21 and max(map(len, labels)) <= 64


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"precision": "float16"}, ValueError, "precision must be one of"),
        ({"wide": 1}, TypeError, "wide must be"),
        ({"random_starts": None}, TypeError, "random_starts must be"),
    ],
)
def test_bad_arguments(options, error, message):
    with pytest.raises(error, match=message):
        next(warm_up(**options))


@pytest.mark.slow
@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_after_a_warm_up_nothing_is_compiled_in_another_process(tmp_path):
    code = """
        from numba.core.event import install_recorder
        from featsim.training import warm_up
        with install_recorder("numba:compile") as found:
            print(*(label for label, _ in warm_up(precision="float32", random_starts=True)), sep=";")
        print(len(found.buffer))
    """
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    first, second = (
        subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        ).stdout.splitlines()
        for _ in range(2)
    )
    assert first[0] == second[0] and first[0].count(";") == 4
    assert int(first[1]) > 0 and second[1] == "0"
