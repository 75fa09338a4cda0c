"""Certificates: lower bounds on the margin over a whole budget."""

from featsim.certificates.branch import BranchResult, branch_and_bound
from featsim.certificates.convex import convex_bound, tangent_chord
from featsim.certificates.dispatch import certify_model
from featsim.certificates.gated import certify_gated
from featsim.certificates.kernel_machines import certify_kernel
from featsim.certificates.layered import certify_layers
from featsim.certificates.linear import certify_linear
from featsim.certificates.lines import certify_neurons
from featsim.certificates.result import CertificateResult
from featsim.certificates.symmetric import certify_pure, certify_symmetric

__all__ = [
    "BranchResult",
    "CertificateResult",
    "branch_and_bound",
    "certify_gated",
    "certify_kernel",
    "certify_layers",
    "certify_linear",
    "certify_model",
    "certify_neurons",
    "certify_pure",
    "certify_symmetric",
    "convex_bound",
    "tangent_chord",
]
