"""Certificates: lower bounds on the margin over a whole budget."""

from featsim.certificates.convex import convex_bound, tangent_chord
from featsim.certificates.linear import certify_linear
from featsim.certificates.result import CertificateResult
from featsim.certificates.symmetric import certify_pure, certify_symmetric

__all__ = [
    "CertificateResult",
    "certify_linear",
    "certify_pure",
    "certify_symmetric",
    "convex_bound",
    "tangent_chord",
]
