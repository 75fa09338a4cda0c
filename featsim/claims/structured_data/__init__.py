"""Claims of the structured-data theory (Li & Li 2024)."""

from featsim.claims.structured_data import learning

CLAIMS = learning.CLAIMS

__all__ = ["CLAIMS"]
