"""Models: scores and input gradients of patch networks, linear scores, and users' own."""

from featsim.models.activations import Activation
from featsim.models.biased_network import BiasedReluNetwork, BiasedReluSpec
from featsim.models.deep_network import DeepNetwork, DeepNtkSpec
from featsim.models.empirical_kernel import EmpiricalKernel
from featsim.models.frozen_gates import FrozenGateNetwork, FrozenGateSpec
from featsim.models.kernel_machine import KernelMachine
from featsim.models.linear import LinearModel
from featsim.models.losses import Loss
from featsim.models.memoriser import (
    Memoriser,
    MemoriserSpec,
    memoriser_parameters,
    sawtooth_square,
    separation,
)
from featsim.models.neuron_sum import NeuronSum, neuron_sum
from featsim.models.ntk_network import NtkNetwork, NtkSpec, TangentNetwork, empirical_kernel
from featsim.models.polynomial import PolynomialNetwork, PolynomialSpec, oracle_polynomial
from featsim.models.power_network import (
    PowerNetwork,
    PowerNetworkSpec,
    power_activation,
    power_activation_slope,
)
from featsim.models.protocol import (
    Model,
    accuracy,
    check_score_labels,
    cross_entropy,
    loss_cotangent,
    margin_cotangent,
    margins,
    model_input_gradient,
    model_scores,
    signs,
    soft_margin,
    target_cotangent,
    wilson_interval,
)
from featsim.models.relu_network import ReluNetwork
from featsim.models.restore import trained_model
from featsim.models.separable_rule import MemorisingRuleSpec, memorising_rule
from featsim.models.symmetric_network import (
    SymmetricNetwork,
    SymmetricNetworkSpec,
    gaussian_relu,
    symmetric_activation,
    symmetric_curvature,
    symmetric_slope,
)
from featsim.models.tangent_kernel import DeepTangentKernel, GateKernel, Kernel, TangentKernel
from featsim.models.ties import TIE_TOLERANCE, first_largest
from featsim.models.two_layer import TwoLayerNetwork, TwoLayerSpec, smoothed_relu, smoothed_relu_slope

__all__ = [
    "TIE_TOLERANCE",
    "Activation",
    "BiasedReluNetwork",
    "BiasedReluSpec",
    "DeepNetwork",
    "DeepNtkSpec",
    "DeepTangentKernel",
    "EmpiricalKernel",
    "FrozenGateNetwork",
    "FrozenGateSpec",
    "GateKernel",
    "Kernel",
    "KernelMachine",
    "LinearModel",
    "Loss",
    "Memoriser",
    "MemoriserSpec",
    "MemorisingRuleSpec",
    "Model",
    "NeuronSum",
    "NtkNetwork",
    "NtkSpec",
    "PolynomialNetwork",
    "PolynomialSpec",
    "PowerNetwork",
    "PowerNetworkSpec",
    "ReluNetwork",
    "SymmetricNetwork",
    "SymmetricNetworkSpec",
    "TangentKernel",
    "TangentNetwork",
    "TwoLayerNetwork",
    "TwoLayerSpec",
    "accuracy",
    "check_score_labels",
    "cross_entropy",
    "empirical_kernel",
    "first_largest",
    "gaussian_relu",
    "loss_cotangent",
    "margin_cotangent",
    "margins",
    "memoriser_parameters",
    "memorising_rule",
    "model_input_gradient",
    "model_scores",
    "neuron_sum",
    "oracle_polynomial",
    "power_activation",
    "power_activation_slope",
    "sawtooth_square",
    "separation",
    "signs",
    "smoothed_relu",
    "smoothed_relu_slope",
    "soft_margin",
    "symmetric_activation",
    "symmetric_curvature",
    "symmetric_slope",
    "target_cotangent",
    "trained_model",
    "wilson_interval",
]
