"""Clean generalisation and robust overfitting (Li & Li 2023): conformance fixtures, claims at quick size.

The fixtures are numbers of an independent NumPy program of the same equations.
"""

import dataclasses
import re

import numpy as np
import pytest

from featsim.attacks import SignalAttack, run_attack
from featsim.claims import Claim, format_table, run_claims, select
from featsim.data import SignalNoiseData, signal_noise_data
from featsim.models import PowerNetworkSpec, cross_entropy, loss_cotangent
from featsim.traces import Trace
from featsim.training import Mixture, Recording, Schedule, train

TOLERANCE = 1e-9  # absolute; the numbers are printed to 12 digits


def fixture_data() -> SignalNoiseData:
    """Four samples written down without random numbers."""
    i, p, k = np.ogrid[:4, :3, :8]
    X = 0.4 * np.sin(1.3 * (i + 1) + 0.7 * (p + 1) + 2.1 * k)
    X[:, :, 0] = 0.0
    axis = np.eye(8)[0]
    for row in range(4):
        X[row, row % 3] = 1.5 * (1 if row % 2 == 0 else -1) * axis
    return signal_noise_data(X, [1, 0, 1, 0], signal=axis, signal_patch=[0, 1, 2, 0])


def fixture_weights() -> np.ndarray:
    r, k = np.ogrid[:3, :8]
    return 0.3 * np.cos(0.9 * r + 1.7 * k + 0.2)[None]


def fixture_trace(model: PowerNetworkSpec, rule: str) -> Trace:
    return train(
        model,
        fixture_data(),
        schedule=Schedule(n_steps=1000, step_size=0.05),
        attack=Mixture(attack=SignalAttack(radius=1.35, rule=rule), weight=0.5),
        recording=Recording(at=(0, 1, 10, 1000)),
        initial_weights=fixture_weights(),
    )


ODD = PowerNetworkSpec(width=3, power=3.0)
RELU = PowerNetworkSpec(width=3, power=3.0, activation="relu", signs=(1, -1, 1))

START = {
    "odd": {
        "scores": [0.053634008881, -0.149106485626, 0.029988312567, -0.03180341464],
        "gradient": (0.44291156514776503, -0.5756375864595319),
        "input_gradient": (0.4834262754164368, 0.018389680946225465),
    },
    "relu": {
        "scores": [0.095194355604, 0.008030202645, 0.081475364132, 0.017352829433],
        "gradient": (0.22171012096371015, -0.1934429647417033),
        "input_gradient": (0.24114218448480113, -0.08749423506809012),
    },
}


@pytest.mark.parametrize("model", [ODD, RELU], ids=["odd", "relu"])
def test_fixture_at_initialisation(model: PowerNetworkSpec) -> None:
    expected, data = START[model.activation], fixture_data()
    network = model.network(fixture_weights())
    scores = network.scores(data.X)
    np.testing.assert_allclose(scores[:, 0], expected["scores"], rtol=0, atol=TOLERANCE)
    gradient = network.weight_gradient(data.X, data.y)
    found = np.linalg.norm(gradient), gradient.sum()
    np.testing.assert_allclose(found, expected["gradient"], rtol=0, atol=TOLERANCE)
    gradient = network.input_gradient(data.X, loss_cotangent(scores, data.y))
    found = np.linalg.norm(gradient), gradient.sum()
    np.testing.assert_allclose(found, expected["input_gradient"], rtol=0, atol=TOLERANCE)


# (step, quantity) -> number of the independent program
F1 = {
    (1, "signal_coef"): [0.304610693686, 0.13834741072, -0.122934604279],
    (1, "memorisation"): [-0.033304427983, 0.060606357103, -0.057364629596, -0.055068106209],
    (1, "clean_loss"): 0.655785966478,
    (1, "fixed_loss"): 0.70408598404,
    (10, "signal_coef"): [0.440928369483, 0.16158122962, -0.108618939943],
    (10, "clean_loss"): 0.562975315601,
    (10, "fixed_loss"): 0.702694184995,
    (1000, "signal_coef"): [1.532973144971, 0.220445867783, -0.091857563875],
    (1000, "memorisation"): [0.392437128339, -0.210968398911, -0.064234138388, 0.195796091846],
    (1000, "clean_loss"): 4.81594443907e-06,
    (1000, "fixed_loss"): 0.655670998684,
}
F2 = {
    (0, "clean_loss"): 0.674738236676,
    (0, "fixed_loss"): 0.691911063369,
    (0, "worst_loss"): 0.703331722728,
    (1, "signal_coef"): [0.299254475727, 0.134957585262, -0.116913389627],
    (1, "worst_loss"): 0.701176395891,
    (1000, "signal_coef"): [1.374764376061, 0.099145253307, -0.003091027151],
    (1000, "memorisation"): [1.24162258423, -0.129974605495, 0.043512850728, 6.106178672649],
    (1000, "clean_loss"): 0.190666417566,
    (1000, "fixed_loss"): 0.42041580904,
    (1000, "worst_loss"): 0.420415900411,
}


@pytest.mark.parametrize(
    ("model", "rule", "numbers", "weight_sum"),
    [(ODD, "fixed", F1, 1.386352648231473), (RELU, "worst", F2, 1.3767747020973435)],
    ids=["F1", "F2"],
)
def test_fixture_along_training(
    model: PowerNetworkSpec, rule: str, numbers: dict[tuple[int, str], object], weight_sum: float
) -> None:
    trace = fixture_trace(model, rule)
    for (step, name), expected in numbers.items():
        found = trace.at(step)[name]
        np.testing.assert_allclose(
            np.squeeze(found), expected, rtol=0, atol=TOLERANCE, err_msg=f"{name} at {step}"
        )
    assert trace.final_weights.sum() == pytest.approx(weight_sum, abs=TOLERANCE)


@pytest.mark.parametrize("rule", ["fixed", "worst"])
def test_the_traces_attack_is_that_of_run_attack(rule: str) -> None:
    trace = fixture_trace(RELU, rule)
    network, data = RELU.network(trace.final_weights), fixture_data()
    result = run_attack(SignalAttack(radius=1.35, rule=rule), network, data)
    loss = float(np.mean(np.logaddexp(0.0, -result.margin)))
    assert loss == pytest.approx(float(trace[f"{rule}_loss"][-1]), rel=1e-12)
    assert loss == pytest.approx(float(trace["attacked_loss"][-1]), rel=1e-12)
    clean = float(np.mean(cross_entropy(network.scores(data.X), data.y)))
    assert clean == pytest.approx(float(trace["clean_loss"][-1]), rel=1e-12)
    assert dataclasses.replace(data).signal is not None


# What needs many runs or long ones.
SLOW = (
    "T1-paper", "T1-relu", "T1-quintic", "T1-size", "T1-scope", "T6", "C1-small", "F7", "T2-scaling",
    "T2-start", "T5", "T5-size", "F3-radii", "F4", "G", "digits", "digits-standard",
    "F1-digits", "F2-digits", "settings",
)  # fmt: skip
# Over the whole population, all vertices of a cube: no sampling.
EXACT = ("clean accuracy", "robust accuracy at N = 4 2^k")
FAST = tuple(claim.id.partition("/")[2] for claim in select("cgro") if claim.id.partition("/")[2] not in SLOW)


def check(claims: list[Claim]) -> None:
    """Verdicts are the documented ones; accuracies say how many samples are behind them."""
    found = run_claims(claims, quick=True)
    wrong = [result for result in found if not result.as_documented]
    assert not wrong, format_table(wrong)
    for finding in (finding for result in found for finding in result.findings):
        name = finding.criterion.quantity
        if re.match(r"(clean|robust|PGD-20|worst line) (\w+ )?accuracy(?! less)", name):
            assert ("Wilson [" in finding.estimate.note) != (name in EXACT), name


def test_claims() -> None:
    check(select("cgro", FAST))


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_slow_claims(name: str) -> None:
    check(select("cgro", (name,)))
