"""Certificates: lower bounds on the margin over a whole budget."""

from featsim.certificates.convex import convex_bound, tangent_chord
from featsim.certificates.linear import certify_linear
from featsim.certificates.result import CertificateResult

__all__ = ["CertificateResult", "certify_linear", "convex_bound", "tangent_chord"]
