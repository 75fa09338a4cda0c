"""What a certificate guarantees, sample by sample."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from featsim.models import wilson_interval
from featsim.threats import Threat
from featsim.validation import FloatArray


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class CertificateResult:
    """Lower bounds on the hard margin over a whole budget.

    Attributes
    ----------
    lower_margin : ndarray, shape (n,)
        No allowed perturbation has a smaller margin; nan where nothing could
        be shown.
    method : str
        ``"linear"`` (exact) or ``"tangent/chord"``.
    threat : Threat
        Budget.
    """

    lower_margin: FloatArray
    method: str
    threat: Threat

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.lower_margin)

    @property
    def certified(self) -> npt.NDArray[np.bool_]:
        """Which samples are proven robust: bound > 0, so never where it is nan."""
        certified: npt.NDArray[np.bool_] = self.lower_margin > 0
        return certified

    @property
    def certified_accuracy(self) -> float:
        """Share of samples proven robust."""
        return float(np.mean(self.certified))

    @property
    def settings(self) -> dict[str, Any]:
        """Everything the number must be quoted with, as JSON data."""
        return {
            "certificate": self.method,
            "norm": self.threat.norm,
            "radius": self.threat.radius,
            "budget": "per patch" if self.threat.scope == "patch" else "whole input",
            "subspace": self.threat.subspace,
            "n_samples": self.n_samples,
        }

    def summary(self) -> str:
        """Return the certified accuracy with its 95 % Wilson interval and all settings as text."""
        low, high = wilson_interval(int(np.sum(self.certified)), self.n_samples)
        lines = [
            f"certificate ({self.method}): {self.threat.describe()}",
            f"  certified accuracy {self.certified_accuracy:.4f} [{low:.4f}, {high:.4f}]",
            *(f"  {name}: {value}" for name, value in self.settings.items()),
        ]
        return "\n".join(lines)
