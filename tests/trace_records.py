"""A small run for tests of traces: its spec, axes, and records that are a function of the step."""

from __future__ import annotations

import numpy as np

AXES = {
    "robust_coef": ("step", "class", "neuron"),
    "nonrobust_coef": ("step", "class", "neuron"),
    "clean_loss": ("step",),
    "weights": ("weight_step", "class", "neuron", "dim"),
    "weight_steps": ("weight_step",),
    "final_weights": ("class", "neuron", "dim"),
}
SPEC = {"kind": "test", "schedule": {"step_size": 0.1, "n_steps": 60}, "starts": ["clean", "random"]}


def record(start, stop):
    """Records of the steps start..stop-1, a function of the step alone."""
    steps = np.arange(start, stop)
    table = np.sin(np.multiply.outer(steps, np.arange(1, 13.0))).reshape(-1, 3, 4)
    arrays = {
        "steps": steps,
        "robust_coef": table,
        "nonrobust_coef": table**2,
        "clean_loss": np.exp(-steps / 7),
    }
    marks = steps[steps % 20 == 0]
    if marks.size:
        weights = np.cos(np.multiply.outer(marks, np.arange(24.0))).reshape(-1, 3, 4, 2)
        arrays |= {"weights": weights, "weight_steps": marks}
    return arrays
