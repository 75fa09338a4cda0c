"""The flow of the closure: its field, the limit of small steps, stage times, and the attack's two rules."""

import numpy as np
import pytest

from featsim.data import GramSignalNoiseSpec
from featsim.models import PowerNetworkSpec
from featsim.theory.cgro import ClosureFlow, closure_flow, closure_from_weights

ALPHA, LEFT = 2.0, 0.1


def start_of(rng, model, dim=1e3, n=6):
    spec = GramSignalNoiseSpec(dim=dim, n_fresh=0)
    data = spec.sample_for(model, n, rng)
    return closure_from_weights(spec.initial_weights(model, data, rng), data)


MODELS = (
    PowerNetworkSpec(width=4),
    PowerNetworkSpec(width=4, activation="relu", power=4.0),
    PowerNetworkSpec(width=5, power=2.5),
)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("rule", ["fixed", "worst"])
def test_one_step_of_the_closure_is_one_step_along_the_field(rng, model, rule):
    start = start_of(rng, model)
    eta = 0.05
    step = start.run(model, weight=0.4, radius=ALPHA - LEFT, step_size=eta, n_steps=1, rule=rule)
    flow = ClosureFlow(start, model, weight=0.4, left=LEFT, rule=rule)
    state = flow.initial_state
    moved = state + eta * flow.field(state)[0]
    np.testing.assert_allclose(flow.split(moved)[0], step.signal_coef[-1], rtol=1e-12)
    np.testing.assert_allclose(flow.noise_coef(moved), step.noise_coef, rtol=1e-10, atol=1e-14)


def test_descent_approaches_the_flow_in_the_first_order_of_the_step(rng):
    model = PowerNetworkSpec(width=6)
    start = start_of(rng, model)
    flow = closure_flow(start, model, weight=0.5, left=LEFT, end=20.0, tolerance=1e-9)
    errors = []
    for eta in (0.02, 0.01, 0.005):
        run = start.run(model, weight=0.5, radius=ALPHA - LEFT, step_size=eta, n_steps=round(20.0 / eta))
        errors.append(abs(run.signal_score[-1] - flow.signal_score[-1]))
    assert errors[-1] < 0.01
    # Halving the step halves the error, up to the next order.
    np.testing.assert_allclose(np.array(errors[1:]) / errors[:-1], 0.5, atol=0.05)


def test_stage_times_are_where_the_scores_cross_one(rng):
    model = PowerNetworkSpec(width=8)
    start = start_of(rng, model)
    found = closure_flow(
        start, model, weight=0.5, left=LEFT, end=200.0, record_at=np.geomspace(1e-3, 200.0, 2000)
    )
    fine = np.log(found.times)
    for time, score in [
        (found.signal_time, found.signal_score),
        *zip(found.memorisation_times, found.memorisation.T, strict=True),
    ]:
        if np.isfinite(time):
            assert np.interp(np.log(time), fine, score) == pytest.approx(1.0, abs=0.02)
        else:
            assert score.max() < 1.0
    assert np.isfinite(found.signal_time)
    assert np.isfinite(found.memorisation_time)


def test_a_tighter_tolerance_changes_little(rng):
    model = PowerNetworkSpec(width=8)
    start = start_of(rng, model)
    loose, tight = (
        closure_flow(start, model, weight=0.5, left=LEFT, end=100.0, tolerance=tolerance)
        for tolerance in (1e-6, 1e-9)
    )
    # Ten times what was measured: 4e-6 in S, 3e-5 in V.
    np.testing.assert_allclose(loose.signal_score[-1], tight.signal_score[-1], atol=4e-5)
    np.testing.assert_allclose(loose.memorisation[-1], tight.memorisation[-1], atol=3e-4)


def test_impossible_arguments_are_refused(rng):
    model = PowerNetworkSpec(width=4)
    start = start_of(rng, model)
    with pytest.raises(ValueError, match="left must be <= 2"):
        closure_flow(start, model, weight=0.5, left=3.0, end=1.0)
    with pytest.raises(ValueError, match="record_at must lie in"):
        closure_flow(start, model, weight=0.5, left=LEFT, end=1.0, record_at=np.array([2.0]))
    for width in (3, 5):
        other = PowerNetworkSpec(width=width)
        with pytest.raises(ValueError, match="width 4 of the start"):
            closure_flow(start, other, weight=0.5, left=LEFT, end=1.0)
        with pytest.raises(ValueError, match="width 4 of the start"):
            start.run(other, weight=0.5, radius=1.0, step_size=0.1, n_steps=2)
