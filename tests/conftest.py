"""Fixtures and settings shared by all tests."""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

# A cached kernel is not recompiled when a kernel it calls changes in another file, so the
# run starts from an empty cache. Numba reads the variable when it is first imported.
if "NUMBA_CACHE_DIR" not in os.environ:
    assert "numba" not in sys.modules, "numba was imported before its cache folder could be set"
    os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(prefix="featsim-tests-numba-")
    atexit.register(shutil.rmtree, os.environ["NUMBA_CACHE_DIR"], ignore_errors=True)
# Each of the processes of pytest-xdist has a cache of its own: of two that save at once, one entry is lost.
if "PYTEST_XDIST_WORKER" in os.environ:
    own = os.path.join(os.environ["NUMBA_CACHE_DIR"], os.environ["PYTEST_XDIST_WORKER"])
    os.environ["NUMBA_CACHE_DIR"] = own
    # They share the cores: threads of BLAS in each would wait for each other. NumPy reads it when imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ["MPLBACKEND"] = "Agg"

import numpy as np
import pytest
from hypothesis import settings

# No deadline: the first example of a property compiles kernels. Derandomized: a red run can be repeated.
settings.register_profile("featsim", deadline=None, derandomize=True, max_examples=50, database=None)
settings.load_profile("featsim")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed, new in every test."""
    return np.random.default_rng(20241008)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets beside the project, or the same named by FEATSIM_DATA.

    Tests that need it are skipped without it. A user's own folder of complete sets is not meant: the
    tests know the subsets of this one, which `attack_nets.npz` marks.
    """
    named = os.environ.get("FEATSIM_DATA")
    for folder in (SHARED_DATA, *([Path(named)] if named else [])):
        if (folder / "attack_nets.npz").is_file():
            return folder
    pytest.skip(f"needs the real data sets in {SHARED_DATA} or FEATSIM_DATA, which are not there")
