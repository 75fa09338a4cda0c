"""featsim: feature-learning theories of adversarial training, simulated exactly.

Every public name is loaded when it is first used, so that ``import featsim`` costs next to nothing and
pulls in neither SciPy, Numba nor Matplotlib. Type checkers see the names as ``Any`` here and with their
types in the rooms: ``from featsim.models import TwoLayerSpec``.
"""

from importlib import import_module
from typing import Any

from featsim._version import __version__

# To publish a name of a room, add it here: the documentation lists it and the tests load it.
_ROOMS: dict[str, tuple[str, ...]] = {
    "data": (
        "CircleSpec",
        "PatchData",
        "PatchDataSpec",
        "PointData",
        "SeparatedSphereSpec",
        "SparseCodingData",
        "SparseCodingSpec",
        "SphereSliceSpec",
        "circle_points",
        "on_slice",
        "patch_data",
        "point_data",
        "sample_like",
        "sample_patches",
        "sample_sparse_coding",
        "sparse_coding_data",
    ),
    "traces": ("Trace", "load_trace"),
    "images": ("ImageDataSpec", "ImagePatchSpec", "ImageSet", "patch_images"),
    "threats": ("Budget", "Threat"),
    "models": (
        "Activation",
        "BiasedReluSpec",
        "DeepNtkSpec",
        "DeepTangentKernel",
        "FrozenGateNetwork",
        "FrozenGateSpec",
        "GateKernel",
        "KernelMachine",
        "LinearModel",
        "Loss",
        "Model",
        "NtkNetwork",
        "NtkSpec",
        "PolynomialNetwork",
        "PolynomialSpec",
        "SymmetricNetwork",
        "SymmetricNetworkSpec",
        "TangentKernel",
        "TangentNetwork",
        "TwoLayerNetwork",
        "TwoLayerSpec",
        "accuracy",
        "cross_entropy",
        "gaussian_relu",
        "margins",
        "oracle_polynomial",
        "smoothed_relu",
        "smoothed_relu_slope",
        "soft_margin",
        "symmetric_activation",
        "symmetric_curvature",
        "symmetric_slope",
    ),
    "decomposition": (
        "NeuronParts",
        "Purification",
        "feature_coefficients",
        "feature_logits",
        "keep_pure",
        "lottery_sets",
        "nonrobust_share",
        "own_coefficients",
        "part_vectors",
        "perturbation_parts",
        "purification",
        "remove_mixture",
        "rest_norm",
        "split_neurons",
    ),
    "attacks": (
        "ArcAttack",
        "AttackResult",
        "DirectionAttack",
        "FeatureAttack",
        "GradientAttack",
        "SeparableAttack",
        "fgm",
        "margin_step",
        "pgd",
        "raw_step",
        "run_attack",
    ),
    "certificates": (
        "CertificateResult",
        "certify_linear",
        "certify_pure",
        "certify_symmetric",
        "tangent_chord",
    ),
    "theory": (
        "Population",
        "Racer",
        "SampledCodes",
        "SymmetricPath",
        "SymmetricState",
        "circle_spectrum",
        "dual_recursion",
        "escape_radius",
        "full_l2_window",
        "half_accuracy_radius",
        "input_l2_radius",
        "label_leak",
        "linear_rule_radius",
        "linear_growth_share",
        "linf_nonrobust_radius",
        "linf_robust_radius",
        "measured_label_leak",
        "mirror_flow",
        "mirror_margins",
        "nonrobust_escapes",
        "own_feature_radii",
        "patch_l2_radius",
        "plant",
        "predicted_winner",
        "pure_window",
        "race_strength",
        "reduced_adversarial",
        "reduced_from_weights",
        "reduced_standard",
        "regret_rate",
        "regret_sides",
        "robust_interpolant",
        "saturation_level",
        "shattering_gadget",
        "symmetric_path",
        "symmetric_weights",
        "theorem_width",
        "tie_patch_count",
        "win_probability",
        "writing_attack_wins",
        "writing_radius",
    ),
    "evaluation": ("Evaluation", "evaluate", "part_accuracy", "robust_interval", "strongest_attack"),
    "training": (
        "Adam",
        "ProjectedDescent",
        "RampSchedule",
        "Recording",
        "Schedule",
        "kernel_adversarial",
        "kernel_descent",
        "kernel_recursion",
        "kernel_ridge",
        "linear_descent",
        "resume",
        "train",
    ),
    "scenarios": ("Scenario", "Training", "get_scenario", "scenario_names"),
    "plotting": ("plot_trace", "save_figure"),
    "sweeps": (
        "least_width",
        "map_runs",
    ),
    "specs": ("Spec", "spec_from_dict"),
    "versions": ("version_report",),
}
_PUBLIC = {name: f"featsim.{room}" for room, names in _ROOMS.items() for name in names}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    """Load a public name from its room on first use (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'featsim' has no attribute {name!r}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)
