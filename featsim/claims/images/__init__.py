"""Claims on real images."""

from featsim.claims.images import features, purifying, real_sets

CLAIMS = (*features.CLAIMS, *purifying.CLAIMS, *real_sets.CLAIMS)

__all__ = ["CLAIMS"]
