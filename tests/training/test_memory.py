"""Peak memory of runs, in a process of their own: blocks instead of whole arrays, streamed traces."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory of a process in /proc")

START = """
import json, sys
import numpy as np
from featsim import (
    PatchDataSpec, Recording, Schedule, SparseCodingSpec, SymmetricNetworkSpec, Threat, TwoLayerSpec, fgm,
    pgd, train,
)
from featsim.training import plan as plans
from featsim.training.preparation import prepare_run

def peak(reset=False):
    if reset:  # of the peak, by Linux
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    with open("/proc/self/status") as file:
        lines = dict(line.split(":", 1) for line in file)
    return 1024 * int(lines["VmHWM"].split()[0])

def growth(run):
    before = peak(reset=True)
    run()
    return peak() - before
"""

BLOCKS = """
def patches(n, **how):
    rng = np.random.default_rng(0)
    data = PatchDataSpec(n_classes=4, dim=16, n_nonrobust_patches=15).sample(n, rng)
    weights = 0.1 * rng.standard_normal((4, 30, 16))
    schedule, recording = Schedule(n_steps=1), Recording(at=(0,))
    return lambda: train(
        TwoLayerSpec(width=30), data, schedule=schedule, recording=recording, initial_weights=weights, **how
    )

def codes(n, **how):
    rng = np.random.default_rng(0)
    data = SparseCodingSpec(dim=16, sparsity=2.0).sample(n, rng)
    return lambda: train(SymmetricNetworkSpec(width=250), data, schedule=Schedule(n_steps=1), rng=rng, **how)

l2, linf = (Threat(radius=0.1, norm=norm, scope="input") for norm in ("l2", "linf"))
cases = {
    "clean": (patches, 6000, {}),
    "l2": (patches, 6000, {"attack": fgm(l2)}),
    "l2, two steps": (patches, 3000, {"attack": pgd(l2, n_steps=2, keep="last")}),
    "linf": (patches, 6000, {"attack": fgm(linf)}),
    "symmetric": (codes, 40000, {}),
    "symmetric, attacked": (codes, 40000, {"attack": fgm(Threat(radius=0.1))}),
}
found = {}
for name, (make, n, how) in cases.items():
    make(20, **how)()  # compiled, and libraries loaded
    run = make(n, **how)
    found[name] = growth(run)
X, W = np.ones((96000, 16)), np.ones((120, 16))
found["whole array"] = growth(lambda: (X @ W.T).sum())
print(json.dumps(found))
"""

STREAMED = """
from featsim.traces import run_reader, trace
from featsim.training import loop
out = sys.argv[1]
# Everything at a 16th of its size, and the mapped at a 64th.
loop._CHUNK_BYTES = trace.MAPPED_BYTES = run_reader.MAPPED_BYTES = 1 << 22
rng = np.random.default_rng(0)
data = PatchDataSpec(n_classes=10, dim=20, n_nonrobust_patches=1).sample(10, rng)
def run(n_steps, path):
    tables = Recording(quantities=("robust_table", "nonrobust_table", "clean_loss"))
    return train(
        TwoLayerSpec(width=50), data, schedule=Schedule(n_steps=n_steps, step_size=0.01), recording=tables,
        rng=np.random.default_rng(1), out=path,
    )
run(20, out + "/warm.npz")
sizes = {}
def streamed(name):
    sizes["trace of " + name] = sum(array.nbytes for array in run(1000, out + "/" + name).arrays.values())
for name in ("run.npz", "run"):
    sizes[name] = growth(lambda: streamed(name))
sizes["kept"] = growth(lambda: run(1000, None))
print(json.dumps(sizes))
"""


def in_a_process(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", START + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_no_array_has_a_row_for_every_patch_and_a_column_for_every_filter():
    """n P x K numbers are 92 MB in the patch network, 46 and 80 MB in the others below."""
    found = in_a_process(BLOCKS)
    assert found.pop("whole array") > 90e6  # the measure sees what it is to see
    for name, size in found.items():
        # Data are there already; records, blocks, and the symmetric network's inputs in the dictionary's
        # coordinates are to come. 8 MB is what the allocator may round up and keep.
        allowed = 40000 * 16 * 8 + 8e6 if "symmetric" in name else 8e6
        assert size < allowed, (name, size)


def test_a_streamed_run_takes_a_part_of_its_trace(tmp_path):
    found = in_a_process(STREAMED, tmp_path)
    trace = found["trace of run.npz"]
    assert found["trace of run"] == trace > 80e6
    assert found["kept"] > 0.9 * trace  # the measure sees what it is to see
    assert found["kept"] < 1.25 * trace  # and once: it is not joined from parts
    for name in ("run.npz", "run"):
        assert found[name] < 0.25 * trace, found
