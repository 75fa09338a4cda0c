"""Claims on the training dynamics: the theorem (T1), its three stages (T2), and the controls (T3, T4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from featsim.claims import statistics
from featsim.claims.cases import Case, Measure, Outcome
from featsim.claims.cgro.measures import (
    accuracy_over,
    attacked,
    closure_error,
    closure_times,
    decoupled_error,
    ended,
    on_population,
    phases,
)
from featsim.claims.estimates import Estimate
from featsim.claims.ledger import Claim, Criterion
from featsim.claims.rules import as_measured, at_least, at_most, between, covers_within
from featsim.claims.structured_data.study import by_seed, seeds, study
from featsim.scenarios import Scenario, get_scenario
from featsim.training import Recording

A, B, C, D, E = (get_scenario(f"cgro/{name}") for name in "ABCDE")
_N_SEEDS, _FEWER = (8, 3), (5, 2)
_FINE = Recording(n_log=400)
_ENDED, _PHASES = Measure(ended), Measure(phases)
_TRAINED = "adversarial"

# criterion -> (key of the last record, rule of the theorem)
_THEOREM = {
    "clean training accuracy": ("clean_accuracy", at_least(0.98), "1 - o(1)"),
    "clean accuracy on fresh samples": ("fresh_clean_accuracy", at_least(0.98), "1 - o(1)"),
    "robust training accuracy (worst on the line)": ("worst_accuracy", at_least(0.98), "1 - o(1)"),
    "robust accuracy on fresh samples (worst on the line)": (
        "fresh_worst_accuracy",
        between(0.45, 0.55),
        "1/2 + o(1): the sign of fresh noise decides",
    ),
    "signal score S = alpha^q U": ("signal_score", between(3.0, 20.0), "Theta(1) up to logarithms"),
}


def _final(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    last = by_seed(outcomes, _ENDED)
    found = {
        name: accuracy_over(last, key) if "accuracy" in key else statistics.mean([f[key] for f in last])
        for name, (key, _, _) in _THEOREM.items()
    }
    found["least V_i of a run"] = statistics.mean([f["least_memorised"] for f in last])
    found["mean V"] = statistics.mean([f["memorisation"] for f in last])
    found["share of samples with V_i >= 1"] = accuracy_over(last, "memorised_share")
    return found


def _theorem(scenario: Scenario, name: str, statement: str, mark: str, n_seeds: tuple[int, int],
             *extra: Criterion) -> Claim:  # fmt: skip
    return Claim(
        id=f"cgro/{name}",
        statement=statement,
        mark=mark,
        scenario=scenario.name,
        criteria=(*(Criterion(key, rule, why) for key, (_, rule, why) in _THEOREM.items()), *extra),
        cases=study(scenario, _TRAINED, n_seeds, _ENDED, recording=_FINE),
        analyse=_final,
    )


_EVERY_SAMPLE = (
    Criterion("least V_i of a run", at_least(0.0), "Theta(1) for every i"),
    Criterion("share of samples with V_i >= 1", at_least(0.9), "1"),
)

T1 = _theorem(
    A,
    "T1",
    "Adversarial training learns the signal partly and memorises all: clean, not robust, on fresh data",
    "[source]",
    _N_SEEDS,
    *_EVERY_SAMPLE,
    Criterion("mean V", as_measured(5.01, 0.24, 8), "Theta(1) up to logarithms"),
)
T1_PAPER = _theorem(
    B, "T1-paper", "The same at the paper's own exponents, with polylog d = log d", "[source]", (5, 5),
    Criterion("mean V", as_measured(3.885, 0.3, 5), "Theta(1) up to logarithms"),
)  # fmt: skip
T1_RELU = _theorem(
    C, "T1-relu", "The same for the two-branch ReLU^3 network of the last version", "[source]", _FEWER,
    *_EVERY_SAMPLE, Criterion("mean V", as_measured(4.92, 0.09, 5), "Theta(1) up to logarithms"),
)  # fmt: skip
T1_POWER = _theorem(
    D, "T1-quintic", "The same with the fifth power", "[derived]", _FEWER,
    *_EVERY_SAMPLE, Criterion("mean V", as_measured(6.35, 0.11, 5), "Theta(1) up to logarithms"),
)  # fmt: skip
T1_SIZE = _theorem(
    E, "T1-size", "The same at d = 400 with 50 samples", "[derived]", (3, 2),
    Criterion("least V_i of a run", at_least(0.0), "Theta(1) for every i"),
)  # fmt: skip


def _stages(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = by_seed(outcomes, _PHASES)
    last = by_seed(outcomes, _ENDED)
    return {
        "t_I / t_III": statistics.mean([f["signal_step"] / f["memorisation_step"] for f in found]),
        "mean V at 2 t_I": statistics.mean([f["stall_memorisation"] for f in found]),
        "growth of max u from 2 t_I to t_III": statistics.mean([f["stall_growth"] for f in found]),
        "attacked loss / log 2 at sqrt(t_I t_III)": statistics.mean([f["stall_loss"] for f in found]),
        "share of samples with V_i >= 1": accuracy_over(last, "memorised_share"),
    }


T2 = Claim(
    id="cgro/T2",
    statement="Three stages: the signal is learned, then stalls, then noise is memorised",
    mark="[source]",
    scenario=A.name,
    criteria=(
        Criterion("t_I / t_III", at_most(1.0 / 20.0), "o(1)"),
        Criterion("mean V at 2 t_I", at_most(0.1), "o(1)"),
        Criterion(
            "growth of max u from 2 t_I to t_III", at_most(2.5), "logarithmic: S ~ log t + (2-2/q) log S"
        ),
        Criterion("attacked loss / log 2 at sqrt(t_I t_III)", between(0.9, 1.1), "1"),
        Criterion("share of samples with V_i >= 1", at_least(0.9), "1"),
    ),
    cases=study(A, _TRAINED, _N_SEEDS, _PHASES, _ENDED, recording=_FINE),
    analyse=_stages,
)

_TIMES = Measure(closure_times, (_TRAINED,))


def _laws(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = by_seed(outcomes, _TIMES)
    return {
        "t_I / T_I": statistics.median([f["signal_step"] / f["predicted_signal_step"] for f in found]),
        "t_III / T_III": statistics.median(
            [f["memorisation_step"] / f["predicted_memorisation_step"] for f in found]
        ),
        "t_I": statistics.mean([f["signal_step"] for f in found]),
        "t_III": statistics.mean([f["memorisation_step"] for f in found]),
    }


T2_LAWS = Claim(
    id="cgro/T2-laws",
    statement="The blow-up laws give the stage times up to a constant",
    mark="[derived]",
    scenario=A.name,
    criteria=(
        Criterion("t_III / T_III", between(0.46, 0.71), "T_III = 2N/(eta q(q-2) lambda sigma^2 d v0^(q-2))"),
        Criterion("t_III", as_measured(2360.0, 340.0, 8), "of order T_III"),
        Criterion("t_I", as_measured(21.0, 17.0, 8), "of order T_I = 1/((q-2) c_u u0^(q-2))"),
    ),
    cases=study(A, None, (8, 8), _TIMES),
    analyse=_laws,
)


def _control(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    last = by_seed(outcomes, _ENDED)
    return {
        "robust training accuracy (worst on the line)": accuracy_over(last, "worst_accuracy"),
        "mean V": statistics.mean([f["memorisation"] for f in last]),
        "signal score S = alpha^q U": statistics.mean([f["signal_score"] for f in last]),
        "clean accuracy on fresh samples": accuracy_over(last, "fresh_clean_accuracy"),
    }


T3 = Claim(
    id="cgro/T3",
    statement="Control, lambda = 0: standard training learns the signal and memorises nothing",
    mark="[choice]",
    scenario=A.name,
    criteria=(
        Criterion("robust training accuracy (worst on the line)", between(0.35, 0.65), "1/2"),
        Criterion("mean V", covers_within(0.0, 0.1), "its initial size"),
        Criterion("signal score S = alpha^q U", as_measured(11.6, 0.1, 5), "as in stage I and II"),
        Criterion("clean accuracy on fresh samples", at_least(0.98), "1"),
    ),
    cases=study(A, "standard", _N_SEEDS, _ENDED, recording=_FINE),
    analyse=_control,
    control=True,
)
T4 = Claim(
    id="cgro/T4",
    statement="Control, lambda = 1: without the clean loss the signal is never learned, all is memorised",
    mark="[derived]",
    scenario=A.name,
    criteria=(
        Criterion("clean accuracy on fresh samples", at_most(0.9), "the sign of U(0), often below 1/2"),
        Criterion("signal score S = alpha^q U", at_most(1.0), "of its initial size"),
        Criterion("robust training accuracy (worst on the line)", at_least(0.98), "1"),
        Criterion("mean V", as_measured(6.35, 0.07, 5), "Theta(1) up to logarithms"),
    ),
    cases=study(A, "pure", _N_SEEDS, _ENDED, recording=_FINE),
    analyse=_control,
    control=True,
)

_WHOLE = Measure(attacked, (A.evaluations[2],))


def _scope(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = by_seed(outcomes, _WHOLE)
    return {
        "PGD-20 accuracy at 0.25, whole input, training": accuracy_over(found, "train_robust"),
        "the same on fresh samples": accuracy_over(found, "test_robust"),
    }


T1_SCOPE = Claim(
    id="cgro/T1-scope",
    statement="Control: robustness on the line is not robustness on the whole input, where noise moves too",
    mark="[measured]",
    scenario=A.name,
    criteria=(
        Criterion("PGD-20 accuracy at 0.25, whole input, training", at_least(0.98), "1"),
        Criterion("the same on fresh samples", between(0.85, 0.99), "below 1: the noise score can be turned"),
    ),
    cases=study(A, _TRAINED, (5, 2), _WHOLE, recording=_FINE),
    analyse=_scope,
    control=True,
)

_POPULATION = Measure(on_population, (20000,))


def _t6(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = by_seed(outcomes, _POPULATION)
    worst = {name: max(f[f"{name}_gap_in_errors"] for f in found) for name in ("clean", "fixed", "worst")}
    return {
        "largest gap of robust accuracy, in standard errors": statistics.exactly(
            max(worst["fixed"], worst["worst"]), len(found)
        ),
        "largest gap of clean accuracy, in standard errors": statistics.exactly(worst["clean"], len(found)),
        "largest |mean of V_new|, in standard errors": statistics.exactly(
            max(f["noise_mean_in_errors"] for f in found), len(found)
        ),
        "robust accuracy on 20,000 fresh samples": statistics.accuracy([f["worst"] for f in found], 20000),
    }


T6 = Claim(
    id="cgro/T6",
    statement="Fresh accuracies are those of a signal score against symmetric noise: P(V_new > -S)",
    mark="[derived]",
    scenario=A.name,
    criteria=tuple(
        Criterion(name, at_most(4.0), "within binomial error")
        for name in (
            "largest gap of robust accuracy, in standard errors",
            "largest gap of clean accuracy, in standard errors",
            "largest |mean of V_new|, in standard errors",
        )
    ),
    cases=study(A, _TRAINED, _N_SEEDS, _POPULATION, recording=_FINE),
    analyse=_t6,
)

_CLOSURE = Recording(every=50, quantities=("signal_coef", "memorisation", "noise_coef"), weights_at=(0,))
_SHORT = A.with_settings({"schedule.n_steps": 2000})
_ERROR = {name: Measure(closure_error, (name,)) for name in ("adversarial", "worst", "standard", "pure")}


def _exactness(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    values = [outcome.value for outcome in outcomes]
    return {"largest deviation of u, v and V over 2000 steps": statistics.exactly(max(values), len(values))}


def _exactness_cases(quick: bool) -> list[Case]:
    return [
        Case(_SHORT, name, seed, measure, _CLOSURE)
        for name, measure in _ERROR.items()
        for seed in seeds((3, 1), quick)
    ]


CLOSURE = Claim(
    id="cgro/closure",
    statement="The closure in (u, v) is the training itself, whatever the dimension",
    mark="[derived]",
    scenario=A.name,
    criteria=(Criterion("largest deviation of u, v and V over 2000 steps", at_most(1e-12), "rounding only"),),
    cases=_exactness_cases,
    analyse=_exactness,
)

# Up to eta t = 40, at eta = 0.01.
_DIMS = (100, 400, 1600)
_COUPLED = tuple(
    A.with_settings({"data.dim": d, "schedule.step_size": 0.01, "schedule.n_steps": 4000}) for d in _DIMS
)
_DECOUPLED = Measure(decoupled_error, (_TRAINED,))


def _decoupling_cases(quick: bool) -> list[Case]:
    return [Case(scenario, None, seed, _DECOUPLED) for scenario in _COUPLED for seed in seeds((8, 4), quick)]


def _decoupling(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    by_dim = {d: by_seed(outcomes, _DECOUPLED, scenario=s) for d, s in zip(_DIMS, _COUPLED, strict=True)}
    slope = statistics.log_slope(
        np.repeat(_DIMS, [len(v) for v in by_dim.values()]), np.concatenate(list(by_dim.values()))
    )
    found = {"slope of the error in d": slope}
    found["relative error of V at d = 1600"] = statistics.mean(by_dim[1600])
    return found


DECOUPLED = Claim(
    id="cgro/decoupled",
    statement="With independent noise patches, as in the proof, V is right up to about d^(-1/2)",
    mark="[derived]",
    scenario=A.name,
    criteria=(
        Criterion("slope of the error in d", between(-0.75, -0.3), "-1/2"),
        Criterion("relative error of V at d = 1600", at_most(0.15), "0.09 measured"),
    ),
    cases=_decoupling_cases,
    analyse=_decoupling,
)


CLAIMS = (
    T1, T1_PAPER, T1_RELU, T1_POWER, T1_SIZE, T1_SCOPE, T2, T2_LAWS, T3, T4, T6, CLOSURE, DECOUPLED,
)  # fmt: skip
