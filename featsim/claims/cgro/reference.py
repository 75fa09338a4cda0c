"""Whether the settings end where an independent program of the same equations did."""

from __future__ import annotations

from collections.abc import Sequence

from featsim.claims import statistics
from featsim.claims.cases import Case, Measure, Outcome
from featsim.claims.cgro.measures import ended
from featsim.claims.estimates import Estimate
from featsim.claims.ledger import Claim, Criterion
from featsim.claims.rules import as_measured
from featsim.claims.structured_data.study import by_seed, seeds
from featsim.scenarios import get_scenario
from featsim.training import Recording

_ENDED = Measure(ended)
_FINE = Recording(n_log=400)
_KEYS = {"S": "signal_score", "mean V": "memorisation", "sd of V_new": "fresh_noise_sd",
         "clean accuracy": "fresh_clean_accuracy", "robust accuracy": "fresh_worst_accuracy"}  # fmt: skip

# (scenario, training) -> seeds, and mean and standard deviation of the reference program over them.
REFERENCE: dict[tuple[str, str], tuple[int, dict[str, tuple[float, float]]]] = {
    ("A", "adversarial"): (8, {"S": (9.92, 0.42), "mean V": (5.01, 0.24), "robust accuracy": (0.508, 0.014)}),
    ("A", "worst"): (5, {"S": (9.86, 0.42), "mean V": (4.98, 0.19), "robust accuracy": (0.503, 0.013)}),
    ("A", "standard"): (5, {"S": (11.6, 0.1), "mean V": (0.004, 0.02), "robust accuracy": (0.498, 0.005)}),
    ("A", "pure"): (5, {"S": (-0.27, 0.23), "mean V": (6.35, 0.07), "clean accuracy": (0.33, 0.13)}),
    ("B", "adversarial"): (5, {"S": (10.7, 0.25), "mean V": (3.9, 0.3), "robust accuracy": (0.503, 0.011)}),
    ("C", "adversarial"): (5, {"mean V": (4.92, 0.09), "robust accuracy": (0.503, 0.004)}),
    ("D", "adversarial"): (5, {"S": (10.1, 0.4), "mean V": (6.35, 0.11), "robust accuracy": (0.494, 0.006)}),
    ("E", "adversarial"): (3, {"S": (10.6, 0.12), "mean V": (2.65, 0.16)}),
}
_NAMES = {"pure": ", lambda = 1", "standard": ", lambda = 0", "worst": ", exact attack", "adversarial": ""}


def _quantity(key: tuple[str, str], what: str) -> str:
    return f"{what}, {key[0]}{_NAMES[key[1]]}"


def _cases(quick: bool) -> list[Case]:
    return [
        Case(get_scenario(f"cgro/{name}"), training, seed, _ENDED, _FINE)
        for (name, training), (n_seeds, _) in REFERENCE.items()
        for seed in seeds((n_seeds, 2), quick)
    ]


def _analyse(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = {}
    for key, (_, numbers) in REFERENCE.items():
        last = by_seed(outcomes, _ENDED, key[1], get_scenario(f"cgro/{key[0]}"))
        for what in numbers:
            found[_quantity(key, what)] = statistics.mean([f[_KEYS[what]] for f in last])
    return found


TABLE = Claim(
    id="cgro/settings",
    statement="Every setting ends where an independent NumPy program of the same equations ended",
    mark="[measured]",
    scenario="cgro/A",
    criteria=tuple(
        Criterion(_quantity(key, what), as_measured(*number, n_seeds), f"{number[0]:g} +- {number[1]:g}")
        for key, (n_seeds, numbers) in REFERENCE.items()
        for what, number in numbers.items()
    ),
    cases=_cases,
    analyse=_analyse,
)

CLAIMS = (TABLE,)
