"""Projected descent: agreement with slow loops, the regret inequality, resume, records, bad input."""

import dataclasses

import numpy as np
import pytest
import reference_convergence as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from featsim.attacks import ArcAttack, arc_net, fgm, margin_step, pgd
from featsim.data import CircleSpec, PatchDataSpec, SphereSliceSpec
from featsim.models import Activation, DeepNtkSpec, Loss, NtkNetwork, NtkSpec, TangentNetwork
from featsim.theory.convergence import dual_recursion
from featsim.threats import Threat
from featsim.training import ProjectedDescent, Recording, Schedule, train
from featsim.training.convergence_record import project_ball
from featsim.training.convergence_stepper import ConvergenceStepper
from featsim.training.run_spec import RunSpec

ARC = ArcAttack(half=0.3, n_points=7)
SLICE = Threat(radius=0.25, scope="input", subspace="slice")


def problem(seed=0, n=4):
    rng = np.random.default_rng(seed)
    return CircleSpec().sample(n, rng), rng


def run(model=None, *, attack=ARC, seed=0, recording=None, out=None, **schedule):
    data, rng = problem(seed)
    settings = {"n_steps": 25, "step_size": 0.2, **schedule}
    return train(
        NtkSpec(width=16) if model is None else model,
        data,
        schedule=ProjectedDescent(**settings),
        attack=attack,
        recording=recording,
        rng=rng,
        out=out,
    )


@pytest.mark.parametrize("radius", [np.inf, 0.7])
@pytest.mark.parametrize("paired", [True, False])
def test_trajectory_agrees_with_slow_loops(radius, paired):
    data, rng = problem()
    model = NtkSpec(width=8, paired=paired)
    start = model.initial_weights(3, rng)
    trace = train(
        model,
        data,
        schedule=ProjectedDescent(n_steps=15, step_size=0.2, ball_radius=radius),
        attack=ARC,
        initial_weights=start,
    )
    weights = start[0]
    for t in range(15):
        weights, loss = reference.step(weights, start[0], data.X, data.signs, 0.3, 7, 0.2, radius)
        assert trace["attacked_loss"][t] == pytest.approx(loss, rel=1e-10)
    np.testing.assert_allclose(trace.final_weights[0], weights, rtol=1e-9, atol=1e-12)
    assert trace["distance"].max() <= radius * (1 + 1e-12)


@pytest.mark.parametrize("radius", [np.inf, 1.0])
@pytest.mark.parametrize("name", ["quadratic-relu", "softplus", "relu"])
def test_tangent_model_is_the_dual_recursion(radius, name):
    model = NtkSpec(width=64, tangent=True, activation=Activation(name=name))
    recording = Recording(quantities=("net_scores", "distance", "attacked_loss"), weights_at=(0,))
    trace = run(model, ball_radius=radius, n_steps=120, recording=recording)
    data, _ = problem()
    net = arc_net(ARC, data.X, data.y).reshape(-1, 3)
    gram = NtkNetwork(trace["weights"][0], model.activation).kernel(net)
    course = dual_recursion(gram, data.signs, loss=Loss(), step_size=0.2, n_steps=120, ball_radius=radius)
    np.testing.assert_allclose(trace["net_scores"], course.scores, atol=1e-12)
    np.testing.assert_allclose(trace["distance"], course.distance, atol=1e-12)
    np.testing.assert_allclose(trace["attacked_loss"], course.attacked_loss, atol=1e-12)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    width=st.sampled_from([2, 8, 32]),
    name=st.sampled_from(["quadratic-relu", "relu", "softplus", "smoothed-relu"]),
    loss=st.sampled_from(["huber", "logistic", "square"]),
    comparator=st.sampled_from(["planted", "random"]),
    step_size=st.sampled_from([0.05, 0.5]),
    tangent=st.booleans(),
)
def test_regret_inequality_is_never_violated(seed, width, name, loss, comparator, step_size, tangent):
    model = NtkSpec(width=width, activation=Activation(name=name), loss=Loss(name=loss), tangent=tangent)
    trace = run(model, seed=seed, comparator=comparator, ball_radius=1.5, step_size=step_size)
    assert np.nanmax(trace["average_loss"] - trace["regret_bound"]) <= 1e-10
    if tangent:  # a convex loss of a linear model
        assert trace["slack"].max() <= 1e-12 * max(1.0, float(np.abs(trace["slack"]).max()))


@pytest.mark.parametrize("depth", [1, 2])
def test_regret_inequality_holds_for_deep_networks(depth):
    for comparator in ("planted", "random"):
        trace = run(DeepNtkSpec(width=20, depth=depth), comparator=comparator, ball_radius=3.0, step_size=0.4)
        assert np.nanmax(trace["average_loss"] - trace["regret_bound"]) <= 1e-10
        assert trace["distance"].max() <= 3.0 * (1 + 1e-12)
        assert trace["input_weights"].shape == (20, 3) and trace.axes["final_weights"] == (
            "layer",
            "neuron",
            "input",
        )


@pytest.mark.parametrize("model", [NtkSpec(width=16), DeepNtkSpec(width=12, depth=2)], ids=["two", "deep"])
def test_a_wrong_update_is_stopped_by_the_regret_inequality(monkeypatch, model):
    real = ConvergenceStepper.moment

    def uphill(self, weights, step):
        moment = real(self, weights, step)
        return dataclasses.replace(moment, after=2.0 * weights - moment.after)

    monkeypatch.setattr(ConvergenceStepper, "moment", uphill)
    with pytest.raises(RuntimeError, match="regret inequality violated by .* bug of featsim"):
        run(model, comparator="planted", n_steps=200)


def test_regret_inequality_survives_divergence():
    """Terms of 1e100 and more round by more than 1e-10 each; nothing is reported but the divergence."""
    with pytest.warns(RuntimeWarning, match="not finite at step"):
        trace = run(
            NtkSpec(width=16, loss=Loss(name="square"), paired=False),
            step_size=50.0,
            n_steps=200,
            comparator="planted",
        )
    assert trace.status == "diverged" and np.nanmax(np.abs(trace["slack"])) > 1e50


def test_records_are_what_they_are_called(rng):
    recording = Recording(at=(0, 7), quantities=everything_recordable(), weights_at=(0, 7))
    model = NtkSpec(width=16)
    trace = run(model, comparator="planted", ball_radius=2.0, recording=recording, judge=ArcAttack(half=0.4))
    data, _ = problem()
    start, weights = trace["weights"]
    network, record = NtkNetwork(weights), trace.at(7)
    points = data.X + record["perturbation"]
    scores = network.scores(points)[:, 0]
    loss = Loss()
    assert record["attacked_loss"] == pytest.approx(loss.value(scores, data.signs).mean(), rel=1e-12)
    assert record["clean_loss"] == pytest.approx(loss.value(network.scores(data.X)[:, 0], data.signs).mean())
    assert record["distance"] == pytest.approx(np.linalg.norm(weights - start), rel=1e-12)
    np.testing.assert_allclose(record["neuron_moves"][0], np.linalg.norm((weights - start)[0], axis=1))
    assert record["largest_move"] == record["neuron_moves"].max()
    gradient = network.weight_gradient(points, loss.slope(scores, data.signs)[:, None] / 4)
    assert record["gradient_norm"] == pytest.approx(np.linalg.norm(gradient), rel=1e-12)
    probes = arc_net(ArcAttack(half=0.4, n_points=5), data.X, data.y).reshape(-1, 3)
    np.testing.assert_allclose(record["probe_kernel"], network.kernel(probes), rtol=1e-12)
    first = NtkNetwork(start).kernel(probes)
    drift = np.linalg.norm(network.kernel(probes) - first) / np.linalg.norm(first)
    assert record["kernel_drift"] == pytest.approx(drift, rel=1e-12)
    gap = np.abs(network.scores(probes) - TangentNetwork(weights, start).scores(probes)).max()
    assert record["tangent_gap"] == pytest.approx(gap, rel=1e-9)
    wide = arc_net(ArcAttack(half=0.4), data.X, data.y)
    table = network.scores(wide.reshape(-1, 3)).reshape(4, -1)
    worst = loss.value(table, data.signs[:, None]).max(axis=1).mean()
    assert record["robust_loss"] == pytest.approx(worst, rel=1e-12)
    assert record["robust_accuracy"] == np.mean((table * data.signs[:, None]).min(axis=1) > 0)
    other = NtkNetwork(trace["comparator"]).scores(points)[:, 0]
    assert record["comparator_loss"] == pytest.approx(loss.value(other, data.signs).mean(), rel=1e-12)
    inner = np.sum(gradient * (weights - trace["comparator"]))
    slack = record["attacked_loss"] - record["comparator_loss"] - inner
    assert record["slack"] == pytest.approx(slack, abs=1e-12)


def everything_recordable():
    data, rng = problem()
    spec = RunSpec(
        model=NtkSpec(width=16),
        schedule=ProjectedDescent(n_steps=25, comparator="planted"),
        recording=Recording(),
        attack=ARC,
    )
    return ConvergenceStepper.start(spec, data, rng, None, None).available()


def test_average_loss_is_that_of_all_steps_before():
    trace = run(comparator="planted")
    loss = trace["attacked_loss"]
    np.testing.assert_allclose(trace["average_loss"][1:], np.cumsum(loss[:-1]) / np.arange(1, 26), rtol=1e-12)
    assert np.isnan(trace["average_loss"][0])
    few = run(comparator="planted", recording=Recording(at=(0, 10, 25)))
    np.testing.assert_array_equal(few["regret_bound"][1:], trace["regret_bound"][[10, 25]])


@pytest.mark.parametrize(
    "attack", [ARC, None, pgd(SLICE, n_steps=3, objective="loss", starts=("random",), n_random=2)]
)
@pytest.mark.parametrize(
    "model", [NtkSpec(width=16), DeepNtkSpec(width=12, depth=2)], ids=["two-layer", "deep"]
)
def test_a_run_can_be_cut_anywhere(model, attack):
    data, rng = problem()
    spec = RunSpec(
        model=model,
        schedule=ProjectedDescent(n_steps=12, step_size=0.2, comparator="planted", judge=ARC),
        recording=Recording(),
        attack=attack,
    )
    stepper = ConvergenceStepper.start(spec, data, rng, None, None)
    steps = np.arange(12)
    whole = stepper.advance(stepper.initial_state(), 0, 12, steps, steps[:0])
    again, state, parts = ConvergenceStepper.from_inputs(spec, stepper.inputs), stepper.initial_state(), []
    for first, last in ((0, 1), (1, 8), (8, 12)):
        chunk = again.advance(state, first, last, steps[first:last], steps[:0])
        state = chunk.state
        parts.append(chunk.records)
    for name, expected in whole.records.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), expected, err_msg=name)
    np.testing.assert_array_equal(state["weights"], whole.state["weights"])


def test_gradient_attacks_stay_at_the_clean_point_while_nothing_pulls():
    attack = pgd(SLICE, n_steps=5, objective="loss")
    trace = run(
        attack=attack, recording=Recording(quantities=("perturbation", "attacked_loss", "clean_loss"))
    )
    np.testing.assert_array_equal(trace["perturbation"][0], 0.0)
    assert np.abs(trace["perturbation"][5]).max() > 0.05
    assert np.all(trace["attacked_loss"] >= trace["clean_loss"] - 1e-10)


def test_net_attacks_take_the_first_point_of_a_tie():
    trace = run(recording=Recording(quantities=("perturbation",)))
    data, _ = problem()
    np.testing.assert_allclose(
        data.X + trace["perturbation"][0], arc_net(ARC, data.X, data.y)[:, 0], atol=1e-15
    )


@pytest.mark.parametrize(
    "threat", [Threat(radius=0.2, scope="input"), Threat(radius=0.1, norm="linf", scope="input")]
)
def test_balls_are_kept(threat):
    attack = pgd(threat, n_steps=4, objective="loss")
    trace = run(attack=attack, recording=Recording(quantities=("perturbation",)))
    delta = trace["perturbation"]
    size = np.abs(delta).max(axis=2) if threat.norm == "linf" else np.linalg.norm(delta, axis=2)
    assert size.max() <= threat.radius * (1 + 1e-12)


def test_caps_are_kept():
    data = SphereSliceSpec(dim=6, separation=0.4).sample(6, np.random.default_rng(0))
    attack = fgm(SLICE).replace(objective="loss")
    recording = Recording(quantities=("perturbation",))
    trace = train(
        NtkSpec(width=16),
        data,
        schedule=ProjectedDescent(n_steps=10, step_size=0.3),
        attack=attack,
        recording=recording,
        rng=np.random.default_rng(1),
    )
    budget = SLICE.bind(data)
    assert all(budget.contains(delta).all() for delta in trace["perturbation"])


def test_projection_on_balls(rng):
    centre = rng.standard_normal((3, 4, 5))
    move = rng.standard_normal((3, 4, 5))
    move[1] *= 1e-3
    near, changed = project_ball(centre + move, centre, 1.0)
    assert changed
    np.testing.assert_allclose(
        np.linalg.norm((near - centre).reshape(3, -1), axis=1)[[0, 2]], 1.0, rtol=1e-12
    )
    np.testing.assert_array_equal(near[1], centre[1] + move[1])
    same, changed = project_ball(centre + move, centre, 100.0)
    assert not changed and np.array_equal(same, centre + move)


def test_divergence_is_reported():
    with pytest.warns(RuntimeWarning, match="not finite at step"):
        trace = run(NtkSpec(width=16, loss=Loss(name="square"), paired=False), step_size=1e6, n_steps=60)
    assert trace.status == "diverged" and trace.steps[-1] < 60


def test_width_and_symmetries():
    """Permuting samples or turning the plane commutes with training."""
    data, rng = problem()
    weights = NtkSpec(width=16).initial_weights(3, rng)
    schedule = ProjectedDescent(n_steps=20, step_size=0.2)
    plain = train(NtkSpec(width=16), data, schedule=schedule, attack=ARC, initial_weights=weights)
    order = [2, 0, 3, 1]
    other = train(
        NtkSpec(width=16), data.select(order), schedule=schedule, attack=ARC, initial_weights=weights
    )
    np.testing.assert_allclose(other.final_weights, plain.final_weights, rtol=1e-10, atol=1e-12)
    c, s = np.cos(0.7), np.sin(0.7)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    turned = type(data)(X=data.X @ turn.T, y=data.y, constant=0.5)
    other = train(NtkSpec(width=16), turned, schedule=schedule, attack=ARC, initial_weights=weights @ turn.T)
    np.testing.assert_allclose(other.final_weights, plain.final_weights @ turn.T, rtol=1e-9, atol=1e-11)


def test_a_plain_schedule_has_no_ball():
    data, rng = problem()
    trace = train(NtkSpec(width=16), data, schedule=Schedule(n_steps=5, step_size=0.2), rng=rng)
    assert not trace["projected"].any()
    np.testing.assert_array_equal(trace["attacked_loss"], trace["clean_loss"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: run(attack=margin_step(Threat(radius=0.1), 1.0)), "scope must be 'input' for points"),
        (lambda: run(attack=pgd(SLICE, objective="targeted")), "must have objective 'loss' or 'margin'"),
        (lambda: run(attack=pgd(SLICE, starts=("filters",))), "starts 'clean' or 'random'"),
        (lambda: run(attack=Loss()), "attack in training must be an ArcAttack"),
        (lambda: run(comparator="random"), "ball_radius must be finite for a random comparator"),
        (lambda: run(comparator="best"), "comparator must be one of"),
        (lambda: run(ball_radius=0.0), "ball_radius must be > 0"),
        (lambda: run(batch_size=2), "batch_size must be None"),
        (lambda: run(n_probes=4), "n_probes must be odd"),
        (lambda: run(judge=Loss()), "judge must be an ArcAttack"),
        (lambda: run(recording=Recording(quantities=("slack",))), "quantities must be among"),
        (
            lambda: run(NtkSpec(width=16), attack=None, recording=Recording(quantities=("net_scores",))),
            "must be among",
        ),
        (
            lambda: train(
                NtkSpec(width=4),
                PatchDataSpec().sample(4, np.random.default_rng(0)),
                schedule=Schedule(n_steps=2),
                rng=np.random.default_rng(0),
            ),
            "data must be a PointData",
        ),
        (lambda: train(NtkSpec(width=4), problem()[0], schedule=Schedule(n_steps=2)), "rng must be given"),
        (
            lambda: train(
                NtkSpec(width=4),
                problem()[0],
                schedule=Schedule(n_steps=2),
                initial_weights=np.ones((1, 4, 2)),
            ),
            r"initial_weights must have shape \(1, 4, 3\)",
        ),
        (
            lambda: train(
                NtkSpec(width=4),
                problem()[0],
                schedule=Schedule(n_steps=2),
                rng=np.random.default_rng(0),
                batches=np.zeros((2, 1), dtype=int),
            ),
            "batches must be None",
        ),
    ],
)
def test_bad_input_is_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def test_resume_continues_bit_for_bit(tmp_path, monkeypatch):
    from featsim.training import loop, resume

    whole = run(comparator="planted")
    real = ConvergenceStepper.advance

    def stop_late(self, state, first, last, record, keep):
        if first >= 9:
            raise KeyboardInterrupt
        return real(self, state, first, last, record, keep)

    monkeypatch.setattr(loop, "_CHUNK_SECONDS", 1e-9)
    monkeypatch.setattr(ConvergenceStepper, "advance", stop_late)
    stopped = run(comparator="planted", out=tmp_path / "a.npz")
    assert stopped.status == "interrupted"
    monkeypatch.setattr(ConvergenceStepper, "advance", real)
    found = resume(tmp_path / "a.npz")
    assert found.status == "completed"
    for name in whole:
        np.testing.assert_array_equal(found[name], whole[name], err_msg=name)
