"""Claims of the clean-generalisation theory (Li & Li 2023)."""

from featsim.claims.cgro import constructions, dynamics, landscape, transition, whole_input

CLAIMS = (
    *dynamics.CLAIMS,
    *transition.CLAIMS,
    *constructions.CLAIMS,
    *landscape.CLAIMS,
    *whole_input.CLAIMS,
)

__all__ = ["CLAIMS"]
