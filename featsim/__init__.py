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
    "data": ("PatchData", "PatchDataSpec", "patch_data", "sample_like", "sample_patches"),
    "traces": ("Trace", "load_trace"),
    "images": ("ImageDataSpec", "ImagePatchSpec", "ImageSet", "patch_images"),
    "threats": ("Budget", "Threat"),
    "models": (
        "LinearModel",
        "Model",
        "TwoLayerNetwork",
        "TwoLayerSpec",
        "accuracy",
        "cross_entropy",
        "margins",
        "smoothed_relu",
        "smoothed_relu_slope",
        "soft_margin",
    ),
    "decomposition": (
        "feature_coefficients",
        "feature_logits",
        "nonrobust_share",
        "own_coefficients",
        "perturbation_parts",
        "rest_norm",
    ),
    "attacks": (
        "AttackResult",
        "FeatureAttack",
        "GradientAttack",
        "SeparableAttack",
        "fgm",
        "margin_step",
        "pgd",
        "raw_step",
        "run_attack",
    ),
    "certificates": ("CertificateResult", "certify_linear", "tangent_chord"),
    "theory": (
        "Racer",
        "full_l2_window",
        "input_l2_radius",
        "linf_nonrobust_radius",
        "linf_robust_radius",
        "nonrobust_escapes",
        "own_feature_radii",
        "patch_l2_radius",
        "predicted_winner",
        "race_strength",
        "reduced_adversarial",
        "reduced_from_weights",
        "reduced_standard",
        "saturation_level",
        "tie_patch_count",
        "win_probability",
        "writing_attack_wins",
        "writing_radius",
    ),
    "evaluation": ("Evaluation", "evaluate", "part_accuracy", "robust_interval", "strongest_attack"),
    "training": ("Recording", "Schedule", "resume", "train"),
    "scenarios": ("Scenario", "Training", "get_scenario", "scenario_names"),
    "plotting": ("plot_trace", "save_figure"),
    "sweeps": ("map_runs",),
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
