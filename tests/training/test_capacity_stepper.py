"""Adam on the biased ReLU network: agreement with a plain transcription, cuts, least width, bad input."""

import numpy as np
import pytest

from featsim.attacks import pgd
from featsim.data import SeparatedSphereSpec, point_data
from featsim.models import BiasedReluNetwork, BiasedReluSpec, Loss
from featsim.scenarios.convergence import capacity
from featsim.sweeps import least_width
from featsim.threats import Threat
from featsim.training import Adam, Recording, Schedule, train
from featsim.training.capacity_stepper import CapacityStepper
from featsim.training.run_spec import RunSpec

THREAT = Threat(radius=0.6, scope="input")
ATTACK = pgd(THREAT, n_steps=3, starts=("random",), n_random=1, keep="last")


def problem(seed=0):
    rng = np.random.default_rng(seed)
    return SeparatedSphereSpec(dim=3).sample(6, rng), rng


def slow_adam(data, model, start, attack, noise, schedule):
    """Kingma & Ba's algorithm 1 on the logistic loss at the attacked points, with the network's gradients."""
    weights, bias = start["weights"].copy(), 0.0
    moments = [np.zeros_like(weights), np.zeros_like(weights), 0.0, 0.0]
    loss, losses = Loss(name="logistic"), []
    for t in range(schedule.n_steps):
        network = BiasedReluNetwork(weights, bias)
        points = data.X.copy()
        if attack is not None:
            delta = noise[t].copy()
            for _ in range(attack.n_steps):
                gradient = network.input_gradient(data.X + delta, -data.signs[:, None])
                for i, g in enumerate(gradient):
                    size = np.linalg.norm(g)
                    delta[i] += attack.step_size * g / size if size > 0 else 0.0
                    delta[i] *= min(1.0, attack.threat.radius / np.linalg.norm(delta[i]))
            points = points + delta
        scores = network.scores(points)[:, 0]
        losses.append(loss.value(scores, data.signs).mean())
        slope = loss.slope(scores, data.signs)[:, None] / len(scores)
        gradient, by_bias = network.weight_gradient(points, slope), float(slope.sum())
        b1, b2 = schedule.decay, schedule.square_decay
        moments[0] = b1 * moments[0] + (1 - b1) * gradient
        moments[1] = b2 * moments[1] + (1 - b2) * gradient**2
        moments[2] = b1 * moments[2] + (1 - b1) * by_bias
        moments[3] = b2 * moments[3] + (1 - b2) * by_bias**2
        c1, c2 = 1 - b1 ** (t + 1), 1 - b2 ** (t + 1)
        weights = weights - schedule.step_size * (moments[0] / c1) / (
            np.sqrt(moments[1] / c2) + schedule.floor
        )
        bias = bias - schedule.step_size * (moments[2] / c1) / (np.sqrt(moments[3] / c2) + schedule.floor)
    return weights, bias, np.array(losses)


@pytest.mark.parametrize("attack", [None, ATTACK], ids=["standard", "adversarial"])
def test_kernel_agrees_with_the_plain_transcription(attack):
    data, rng = problem()
    model, schedule = BiasedReluSpec(width=4), Adam(n_steps=12, step_size=0.03)
    spec = RunSpec(model=model, schedule=schedule, recording=Recording(), attack=attack)
    stepper = CapacityStepper.start(spec, data, rng, None, None)
    noise = stepper._noise(0, 12) if attack is not None else None
    steps = np.arange(12)
    chunk = stepper.advance(stepper.initial_state(), 0, 12, steps, steps[:0])
    weights, bias, losses = slow_adam(data, model, stepper.initial_state(), attack, noise, schedule)
    np.testing.assert_allclose(chunk.state["weights"], weights, rtol=1e-9, atol=1e-12)
    assert chunk.state["output_bias"][0] == pytest.approx(bias, rel=1e-9)
    name = "clean_loss" if attack is None else "attacked_loss"
    np.testing.assert_allclose(chunk.records[name], losses, rtol=1e-10)


def test_random_starts_lie_in_the_ball():
    data, rng = problem()
    spec = RunSpec(model=BiasedReluSpec(), schedule=Adam(n_steps=9), recording=Recording(), attack=ATTACK)
    noise = CapacityStepper.start(spec, data, rng, None, None)._noise(0, 100)
    sizes = np.linalg.norm(noise, axis=2)
    assert sizes.max() <= 0.6 and sizes.mean() == pytest.approx(0.6 * 3 / 4, rel=0.05)


def test_a_run_can_be_cut_anywhere():
    data, rng = problem()
    spec = RunSpec(
        model=BiasedReluSpec(width=4),
        schedule=Adam(n_steps=230, step_size=0.03),
        recording=Recording(),
        attack=ATTACK,
    )
    stepper, steps = CapacityStepper.start(spec, data, rng, None, None), np.arange(230)
    keep = np.array([0, 99, 100, 150])
    whole = stepper.advance(stepper.initial_state(), 0, 230, steps, keep)
    again, state, parts = CapacityStepper.from_inputs(spec, stepper.inputs), stepper.initial_state(), []
    for first, last in ((0, 1), (1, 99), (99, 150), (150, 230)):
        inside = keep[(keep >= first) & (keep < last)]
        chunk = again.advance(state, first, last, steps[first:last], inside)
        state = chunk.state
        parts.append(chunk.records)
    for name, expected in whole.records.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), expected, err_msg=name)
    np.testing.assert_array_equal(state["weights"], whole.state["weights"])


def test_trace_has_the_final_network():
    data, rng = problem()
    trace = train(BiasedReluSpec(width=6), data, schedule=Adam(n_steps=300, step_size=0.03), rng=rng)
    model = BiasedReluSpec(width=6).build(trace.final_weights, {"output_bias": trace["output_bias"]})
    margins = data.signs * model.scores(data.X)[:, 0]
    assert trace["clean_accuracy"][-1] == np.mean(margins > 0) == 1.0
    assert trace["clean_loss"][-1] == pytest.approx(np.logaddexp(0, -margins).mean(), rel=1e-12)


def test_divergence_is_reported():
    data, rng = problem()
    with pytest.warns(RuntimeWarning, match="not finite at step"):
        trace = train(BiasedReluSpec(width=4), data, schedule=Adam(n_steps=50, step_size=1e200), rng=rng)
    assert trace.status == "diverged"


def test_least_width_of_separable_and_of_nested_points():
    X = np.array([[2.0, 0.0], [3.0, 1.0], [-2.0, 0.0], [-3.0, -1.0]])
    easy = point_data(X, [1, 1, 0, 0])
    settings = {"schedule": Adam(n_steps=400, step_size=0.03), "widths": (1, 2, 4, 8), "seed": 0}
    assert least_width(easy, **settings).width == 1
    line = point_data(np.array([[-3.0, 0], [-1.0, 0], [1.0, 0], [3.0, 0]]), [1, 0, 1, 0])
    found = least_width(line, **settings)
    assert found.width is None or found.width >= 2  # three sign changes are beyond one neuron
    assert least_width(line, schedule=Adam(n_steps=1), widths=(1,), seed=0).width is None


def test_scenario_runs_both_ways():
    base = capacity(0.8, 8, 4).with_settings({"schedule.n_steps": 20})
    for training in ("standard", "adversarial"):
        assert base.run(training, 0).status == "completed"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fit(schedule=Schedule(n_steps=2)), "schedule must be Adam"),
        (lambda: fit(attack=pgd(THREAT)), "from one random start"),
        (lambda: fit(attack=ATTACK.replace(keep="best")), "use keep='last'"),
        (lambda: fit(attack=ATTACK.replace(threat=Threat(radius=0.1))), "in an l2 ball of the whole input"),
        (lambda: fit(attack=Loss()), "attack in training must be a GradientAttack"),
        (
            lambda: fit(recording=Recording(quantities=("attacked_loss",))),
            "quantities must be among clean_loss",
        ),
        (lambda: fit(data=np.ones((2, 2))), "data must be a PointData"),
        (lambda: fit(rng=None), "rng must be given"),
        (
            lambda: fit(initial_weights=np.ones((1, 4, 4)), rng=None),
            r"initial_weights must have shape \(1, 4, 5\)",
        ),
        (lambda: Adam(n_steps=1, decay=1.0), "decay must be < 1"),
        (lambda: Adam(n_steps=1, batch_size=2), "batch_size must be None"),
        (lambda: Adam(n_steps=1, floor=0.0), "floor must be > 0"),
    ],
)
def test_bad_input_is_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def fit(**changes):
    data, rng = problem()
    settings = {"data": data, "schedule": Adam(n_steps=2), "rng": rng, **changes}
    return train(BiasedReluSpec(width=4), settings.pop("data"), **settings)
