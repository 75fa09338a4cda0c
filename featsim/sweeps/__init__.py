"""Many runs: seeds and grids in parallel processes, least widths."""

from featsim.sweeps.least_width import LeastWidth, least_width
from featsim.sweeps.parallel import map_runs

__all__ = ["LeastWidth", "least_width", "map_runs"]
