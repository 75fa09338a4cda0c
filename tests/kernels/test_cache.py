"""The compiled cache: never stale, and not needed where nothing can be written."""

import ast
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numba
import pytest

import featsim
from featsim.kernels import _jit

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")


def run(code, **environment):
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


@pytest.fixture
def kernels(tmp_path):
    """A package featsim.kernels of two files, of which one calls the other."""
    folder = tmp_path / "featsim" / "kernels"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    shutil.copy(Path(featsim.__file__).with_name("_collector.py"), folder.parent)
    (folder / "__init__.py").touch()
    for name in ("_jit.py", "_parts.py"):
        shutil.copy(Path(_jit.__file__).with_name(name), folder)
    write(folder, 1.0)
    (folder / "caller.py").write_text(
        "from featsim.kernels._jit import jit\n"
        "from featsim.kernels.callee import constant\n"
        "@jit\n"
        "def call(x):\n"
        "    return x + constant(x)\n"
    )
    return folder


def write(folder, value):
    """Write the callee: the same size and the same date, whatever the value."""
    path = folder / "callee.py"
    path.write_text(f"from featsim.kernels._jit import inner\n@inner\ndef constant(x):\n    return {value}\n")
    os.utime(path, (1e9, 1e9))


CALL = """
    import sys; sys.path.insert(0, {path!r})
    from featsim.kernels.caller import call
    print(call(0.0), sum(call.stats.cache_hits.values()))
"""


def test_a_change_in_a_file_that_a_kernel_calls_is_seen(kernels, tmp_path):
    code = CALL.format(path=str(tmp_path))
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": ""}
    assert run(code, **cache) == "1.0 0"
    assert run(code, **cache) == "1.0 1"
    write(kernels, 2.0)
    assert run(code, **cache) == "2.0 0"


def test_kernels_import_each_other_in_the_one_form_that_the_cache_follows():
    for path in Path(_jit.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, path
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                if node.module.startswith("featsim.kernels."):
                    continue
            assert not any(name.startswith("featsim.kernels") for name in names), path


def test_without_a_place_for_the_cache_kernels_are_compiled_all_the_same(kernels, tmp_path):
    (tmp_path / "file").touch()  # a folder cannot be made below a file, not even by root
    nowhere = str(tmp_path / "file" / "below")
    code = """
        import numba.core.caching as caching
        # An installation that cannot be written, and a user without a folder.
        names = ("InTreeCacheLocator", "_InTreeCacheLocator")
        for cls in caching.CacheImpl._locator_classes:
            if cls.__name__ in names:
                cls.ensure_cache_path = lambda self: (_ for _ in ()).throw(PermissionError())
    """
    nobody = {"XDG_CACHE_HOME": nowhere, "HOME": nowhere, "NUMBA_CACHE_DIR": "", "PYTHONPATH": ""}
    assert run(textwrap.dedent(code) + textwrap.dedent(CALL.format(path=str(tmp_path))), **nobody) == "1.0 0"
