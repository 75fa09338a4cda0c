"""Claims of the feature-purification theory (Allen-Zhu & Li 2020)."""

from featsim.claims.purification import (
    derivations,
    dimension,
    guarantees,
    population,
    purifying,
    rivals,
    starts,
)

CLAIMS = (
    *derivations.CLAIMS,
    *purifying.CLAIMS,
    *rivals.CLAIMS,
    *guarantees.CLAIMS,
    *starts.CLAIMS,
    *dimension.CLAIMS,
    *population.CLAIMS,
)

__all__ = ["CLAIMS"]
