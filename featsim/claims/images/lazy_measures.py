"""What the claim and the figure on a handful of images near the tangent kernel measure, for one seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from featsim.claims.cases import Run
from featsim.kernels.blas import one_thread
from featsim.training import Recording

LAZY_WIDTHS = (64, 256, 1024)
_QUANTITIES = ("kernel_drift", "largest_move", "tangent_gap", "attacked_loss")
_NAMES = ("drift", "move", "tangent_gap", "loss")


def lazy_images(run: Run, widths: Sequence[int]) -> dict[str, Any]:
    """Train at several widths from a paired and a plain start.

    ``paired_drift``, ``_move`` and ``_tangent_gap`` are the largest of each run, ``_loss`` the least attacked
    loss; one entry per width; ``plain_drift`` and so on for the other start.
    """
    found: dict[str, Any] = {}
    with one_thread():
        for start, paired in (("paired", True), ("plain", False)):
            rows = []
            for width in widths:
                scenario = run.scenario.with_settings({"model.width": int(width), "model.paired": paired})
                recording = Recording(every=20, quantities=_QUANTITIES)
                trace = scenario.run("adversarial", run.seed, recording=recording)
                rows.append([*(trace[name].max() for name in _QUANTITIES[:3]), trace["attacked_loss"].min()])
            for name, values in zip(_NAMES, np.array(rows).T, strict=True):
                found[f"{start}_{name}"] = values
    return found
