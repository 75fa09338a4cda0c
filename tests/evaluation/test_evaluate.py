"""Several attacks and a certificate put together; accuracy on parts of the input."""

import json

import numpy as np
import pytest

from featsim.attacks import FeatureAttack, fgm, pgd
from featsim.data import PatchDataSpec, patch_data, sample_patches
from featsim.evaluation import clean_accuracy, evaluate, part_accuracy
from featsim.models import LinearModel, TwoLayerNetwork
from featsim.threats import Threat

SPEC = PatchDataSpec(n_classes=3, n_nonrobust_patches=4, dim=8)


@pytest.fixture
def data(rng):
    return sample_patches(SPEC, 9, rng)


def test_interval_of_robust_accuracy(data, rng):
    net = TwoLayerNetwork(np.stack([3.0 * data.robust_features, 0.1 * data.nonrobust_features], axis=1))
    threat = Threat(radius=0.2, subspace="own")
    attacks = [
        fgm(threat),
        pgd(threat, 10, n_random=2, starts=("clean", "filters")),
        FeatureAttack(radius=0.2),
    ]
    result = evaluate(net, data, attacks, rng, certify=threat)
    interval = result.robust_accuracy()
    assert interval.certified == interval.attacked == 1.0
    assert interval.threat == threat
    assert interval.attacked_interval[0] < 1.0
    assert result.robust_accuracy(FeatureAttack(radius=0.2).threat).certified == 0.0
    text = result.summary()
    for part in ("A-unit", "A-pgd", "A-feat", "tangent/chord", "robust accuracy in [1.0000, 1.0000]"):
        assert part in text
    assert len(json.loads(json.dumps(result.table()))) == 4
    with pytest.raises(ValueError, match="threat must be one that was evaluated"):
        result.robust_accuracy(Threat(radius=9.0))


def test_order_certified_attacked_clean(data, rng):
    for model in (
        LinearModel(rng.standard_normal((3, 5, 8))),
        TwoLayerNetwork(rng.standard_normal((3, 4, 8))),
    ):
        for radius in (0.0, 0.05, 0.3):
            threat = Threat(radius=radius)
            result = evaluate(model, data, pgd(threat, 5), certify=threat)
            lower, found = result.certificate.lower_margin, result.attacks[0]
            assert np.all(lower <= found.margin)
            assert np.all(found.margin <= found.clean_margin)
            interval = result.robust_accuracy()
            assert interval.certified <= interval.attacked <= found.clean_accuracy


def test_a_users_model_gets_attacks_only(data):
    class Mine:
        def scores(self, X):
            return X.sum(axis=1)[:, :3]

        def input_gradient(self, X, cotangent):
            gradient = np.zeros_like(X)
            gradient[:, :, :3] = cotangent[:, None, :]
            return gradient

    threat = Threat(radius=0.1)
    result = evaluate(Mine(), data, pgd(threat), certify=threat)
    assert result.certificate is None
    assert result.robust_accuracy().certified == 0.0
    assert "no certificate for a Mine" in result.summary()


def test_certificate_alone(data):
    threat = Threat(radius=0.1)
    result = evaluate(LinearModel(np.zeros((3, 5, 8))), data, (), certify=threat)
    assert np.isnan(result.robust_accuracy().attacked)
    with pytest.raises(ValueError, match="attacks must hold at least one"):
        evaluate(LinearModel(np.zeros((3, 5, 8))), data, ())


def test_silent_network_has_robust_accuracy_zero(data):
    silent = TwoLayerNetwork(np.zeros((3, 2, 8)))
    threat = Threat(radius=0.0)
    interval = evaluate(silent, data, pgd(threat), certify=threat).robust_accuracy()
    assert interval.certified == interval.attacked == 0.0
    assert clean_accuracy(silent, data) == 0.0


def test_accuracy_on_parts(rng):
    # Axis features: on blanked patches the scores are exactly zero, a tie.
    data = sample_patches(SPEC.replace(features="axis"), 9, rng)
    robust = part_accuracy(TwoLayerNetwork(data.robust_features[:, None, :]), data)
    assert (robust.clean, robust.robust_only, robust.nonrobust_only) == (1.0, 1.0, 0.0)
    nonrobust = part_accuracy(TwoLayerNetwork(data.nonrobust_features[:, None, :]), data)
    assert (nonrobust.clean, nonrobust.robust_only, nonrobust.nonrobust_only) == (1.0, 0.0, 1.0)
    with pytest.raises(ValueError, match="known patch roles"):
        part_accuracy(TwoLayerNetwork(np.ones((3, 1, 8))), patch_data(data.X, data.y))
