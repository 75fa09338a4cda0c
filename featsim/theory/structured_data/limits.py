r"""Radii up to which networks of one pure feature are robust, threat by threat.

A pure network has per class neurons along one feature only, with coefficients
:math:`A_r`; its output on a patch holding the feature with amplitude z is
:math:`S(z) = \sum_r s(A_r z)`. The feature sits on `n_carriers` patches of each sample;
the adversary removes the true one there and writes a foreign one wherever the budget
allows. All radii are for equal coefficients in all classes unless two sets are given.
Everything here is [derived]; documentation, page "Structured data", section "Threat models".
"""

from __future__ import annotations

from collections.abc import Callable

from featsim.validation import check_integer


def first_sign_change(margin: Callable[[float], float], upper: float) -> float:
    """Return the radius in (0, upper] where a margin, positive at 0 and decreasing, reaches 0."""
    from scipy.optimize import brentq  # not before it is needed: every training would wait for it

    if margin(0.0) <= 0.0:
        return 0.0
    # at the upper end the margin may be 0 up to rounding
    return float(brentq(margin, 0.0, upper * (1.0 + 1e-9), xtol=1e-13, rtol=1e-13))


def check_carriers(n_carriers: int, n_patches: int) -> tuple[int, int]:
    """Return the numbers of patches that hold the feature and of all patches, checked."""
    carriers = check_integer("n_carriers", n_carriers, minimum=1)
    return carriers, check_integer("n_patches", n_patches, minimum=carriers)
