"""The state after the last step: evaluated and attacked only where it is recorded."""

import inspect

import numpy as np
import pytest
from training_cases import CASES, settings

from featsim.data import patch_data
from featsim.kernels import patch_network
from featsim.models import TwoLayerSpec
from featsim.training import Recording, Schedule, train
from featsim.training.preparation import prepare_run

N = 7


def stepper(name, **recording):
    given = {
        "recording": Recording(**recording),
        "initial_weights": None,
        "batches": None,
        "reduction": "auto",
    }
    return prepare_run(**{**settings(name, N), **given})[0]


@pytest.mark.parametrize("name", CASES)
def test_what_is_recorded_of_the_end_changes_no_weight(name):
    """With or without a record there, the kept and the final weights are the same, and the records before."""
    kept = {"weights_at": (2, N)}
    whole, short = (
        train(**settings(name, N), recording=Recording(at=at, **kept)) for at in ((1, 4, N), (1, 4))
    )
    assert whole.status == short.status == "completed"
    assert whole.steps.tolist() == [1, 4, N] and short.steps.tolist() == [1, 4]
    for name in whole:
        rows = slice(2) if whole.axes[name][:1] == ("step",) else slice(None)
        np.testing.assert_array_equal(short[name], whole[name][rows], err_msg=name)
    np.testing.assert_array_equal(short.weights_at(N), short.final_weights)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("keep", [False, True])
def test_an_unrecorded_end_has_records_of_the_right_shapes(name, keep):
    run = stepper(name, weights_at=(N,))
    state = run.initial_state()
    looked, seen = (run.observe(state, N, record, keep) for record in (False, True))
    assert looked.n_done == 1 and set(looked.records) == set(seen.records)
    for array in looked.records:
        length = int(keep) if array in ("weights", "weight_steps") else 0
        assert looked.records[array].shape == (length, *seen.records[array].shape[1:]), array
        assert looked.records[array].dtype == seen.records[array].dtype, array


@pytest.mark.parametrize("name", [name for name in CASES if "memoris" not in name])
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
def test_final_weights_that_are_not_finite_are_a_divergence_all_the_same(name, bad):
    """The memorising networks are written down, not descended to: they cannot diverge."""
    run = stepper(name)
    state = {key: np.array(value) for key, value in run.initial_state().items()}
    main = next(key for key in ("weights", "columns", "flow") if key in state)
    state[main].reshape(-1)[-1] = bad
    assert run.observe(state, N, False, False).n_done == 0


def test_an_unrecorded_end_costs_no_sweep(monkeypatch):
    """With a kernel that only counts, a run that records nothing calls it for its updates alone."""
    rng = np.random.default_rng(0)
    data = patch_data(rng.standard_normal((4, 2, 5)), [0, 1, 0, 1])
    calls, real = [], patch_network.patch_trajectory
    names = inspect.signature(real)

    def counted(*arguments):
        calls.append(names.bind(*arguments).arguments["update"])
        return real(*arguments)

    monkeypatch.setattr(patch_network, "patch_trajectory", counted)
    weights = 0.1 * rng.standard_normal((2, 2, 5))
    for at, swept in (((), False), ((3,), True)):
        calls.clear()
        train(
            TwoLayerSpec(width=2), data, schedule=Schedule(n_steps=3), initial_weights=weights,
            recording=Recording(at=at),
        )  # fmt: skip
        assert (False in calls) == swept and True in calls
