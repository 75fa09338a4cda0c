"""Claims of the structured-data theory (Li & Li 2024)."""

from featsim.claims.structured_data import controls, learning, race, scaling, threats

CLAIMS = (*learning.CLAIMS, *race.CLAIMS, *scaling.CLAIMS, *threats.CLAIMS, *controls.CLAIMS)

__all__ = ["CLAIMS"]
