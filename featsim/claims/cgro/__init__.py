"""Claims of the clean-generalisation theory (Li & Li 2023)."""

from featsim.claims.cgro import (
    dynamics,
    hard_cube,
    landscape,
    memorising_network,
    radius,
    reference,
    scaling,
    separable,
    whole_input,
)

CLAIMS = (
    *dynamics.CLAIMS,
    *scaling.CLAIMS,
    *radius.CLAIMS,
    *memorising_network.CLAIMS,
    *hard_cube.CLAIMS,
    *separable.CLAIMS,
    *landscape.CLAIMS,
    *whole_input.CLAIMS,
    *reference.CLAIMS,
)

__all__ = ["CLAIMS"]
