"""Claims of the convergence theory (Gao et al. 2019)."""

from featsim.claims.convergence import descent, function_space, models

CLAIMS = (*descent.CLAIMS, *function_space.CLAIMS, *models.CLAIMS)

__all__ = ["CLAIMS"]
