"""Claims on exact simulation in Gram space."""

from featsim.claims.gram_space import exactness, signal_noise, structured

CLAIMS = (*exactness.CLAIMS, *signal_noise.CLAIMS, *structured.CLAIMS)

__all__ = ["CLAIMS"]
