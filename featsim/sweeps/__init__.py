"""Many runs: seeds and grids, in parallel processes."""

from featsim.sweeps.parallel import map_runs

__all__ = ["map_runs"]
