"""Parts of kernels: linked into the kernels that call them, and never made into machine code of their own.

Numba optimises and translates every function it compiles, also one that is inlined wherever it is called.
A fifth to a quarter of the time to compile a kernel went there [measured]. Nothing but kernels may call
a part.
"""

from __future__ import annotations

from typing import Any

from numba import _dynfunc  # type: ignore[attr-defined]
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import AnalysisPass, register_pass
from numba.core.typed_passes import IRLegalization, NativeLowering


class _PartLibrary(JITCodeLibrary):
    """Code that waits to be linked into other code, as Numba lowered it."""

    def _optimize_final_module(self) -> None:
        """Leave it to the kernel, which is optimised as a whole."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


@register_pass(mutates_CFG=False, analysis_only=True)
class _UsePartLibrary(AnalysisPass):
    """Have the part lowered into a library of its kind, and not executed."""

    _name = "featsim_use_part_library"

    def __init__(self) -> None:
        super().__init__()

    def run_pass(self, state: Any) -> bool:
        state.library = _PartLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        return False


@register_pass(mutates_CFG=False, analysis_only=True)
class _DeclarePart(AnalysisPass):
    """Tell Numba how kernels call the part: by a name that stands for it, without an address."""

    _name = "featsim_declare_part"

    def __init__(self) -> None:
        super().__init__()

    def run_pass(self, state: Any) -> bool:
        lowered, library = state["cr"], state.library
        described = lowered.fndesc
        name = described.qualname.split(".")[-1]
        entry = _dynfunc.make_function(
            described.lookup_module(), name, f"part {name}", 0, lowered.env, (library,)
        )
        state.targetctx.insert_user_function(entry, described, [library])
        state["cr"] = lowered._replace(cfunc=entry)
        return False


class PartCompiler(CompilerBase):
    """Numba's compiler for functions that only compiled code calls."""

    def define_pipelines(self) -> list[Any]:
        """Return Numba's own passes with the two of a part."""
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(_UsePartLibrary, IRLegalization)
        passes.add_pass_after(_DeclarePart, NativeLowering)
        passes.finalize()
        return [passes]
