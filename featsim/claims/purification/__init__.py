"""Claims of the feature-purification theory (Allen-Zhu & Li 2020)."""

from featsim.claims.purification import purifying, rivals, scaling

CLAIMS = (*scaling.CLAIMS[:2], *purifying.CLAIMS, *rivals.CLAIMS, *scaling.CLAIMS[2:])

__all__ = ["CLAIMS"]
