"""`weights` and `to_sequential`: layers out of PyTorch's modules, and back."""

import numpy as np
import pytest
import torch
from helpers import network
from torch import nn
from torch.nn.utils import prune

import pydlnet as dln


def test_weights_are_copies_of_all_layers_in_order():
    first, second, third, fourth = (nn.Linear(3, 3, bias=False) for _ in range(4))
    inner = nn.Sequential(second, nn.Identity(), nn.Sequential(third))
    model = nn.Sequential(first, inner, dln.torch.ChainedLinear([np.eye(3, dtype=np.float32)]))
    layers = dln.torch.weights(nn.Sequential(*model, fourth))
    expected = [first.weight, second.weight, third.weight, torch.eye(3), fourth.weight]
    for layer, weight in zip(layers, expected, strict=True):
        np.testing.assert_array_equal(layer, weight.detach().numpy())
        layer[:] = 7.0
        assert not torch.any(weight == 7.0)


def test_a_module_that_comes_twice_is_two_layers():
    layer = nn.Linear(3, 3, bias=False)
    assert len(dln.torch.weights(nn.Sequential(layer, layer))) == 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sequential_gives_its_weights_back(dtype):
    weights = network((4, 3, 5), dtype=dtype)
    model = dln.torch.to_sequential(weights)
    assert [type(child) for child in model] == [nn.Linear, nn.Linear]
    assert all(child.bias is None for child in model)
    for layer, weight in zip(dln.torch.weights(model), weights, strict=True):
        assert layer.dtype == dtype
        np.testing.assert_array_equal(layer, weight)
    with torch.no_grad():
        model[0].weight.zero_()
    assert np.any(weights[0] != 0.0)


def test_building_a_module_leaves_random_numbers_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    dln.torch.ChainedLinear(network((4, 3)))
    assert torch.equal(torch.rand(3), expected)


def replaced(module):
    module.forward = lambda inputs: 0.0 * inputs
    return module


class Residual(nn.Sequential):
    def forward(self, inputs):
        return inputs + super().forward(inputs)


class Doubling(nn.Linear):
    def forward(self, inputs):
        return 2.0 * super().forward(inputs)


NO_NETWORKS = [
    (nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 2)), ValueError, r"model\[1\].*bias"),
    (nn.Sequential(nn.Sequential(nn.ReLU())), TypeError, r"model\[0\]\[0\].*got ReLU"),
    (nn.Sequential(Doubling(3, 3, bias=False)), TypeError, r"model\[0\].*got Doubling"),
    (nn.Sequential(Residual()), TypeError, r"model\[0\].*got Residual"),
    (nn.Conv1d(3, 3, 1), TypeError, "model: .*Conv1d"),
    (nn.Sequential(), ValueError, "at least one layer"),
    (nn.Linear(3, 3, bias=False, dtype=torch.bfloat16), TypeError, r"model.weight.*bfloat16"),
    (nn.Linear(3, 3, bias=False, device="meta"), ValueError, r"model.weight.*meta"),
    (nn.LazyLinear(3, bias=False), TypeError, "model.*LazyLinear"),
    (
        nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(4, 3, bias=False)),
        ValueError,
        r"model\[1\].*\(3, 3\).*\(3, 4\)",
    ),
    (nn.Sequential(replaced(nn.Linear(3, 3, bias=False))), TypeError, r"model\[0\].*got Linear"),
    (replaced(nn.Sequential(nn.Linear(3, 3, bias=False))), TypeError, "model: .*got Sequential"),
    (
        nn.Sequential(prune.identity(nn.Linear(3, 3, bias=False), "weight")),
        ValueError,
        r"model\[0\]: .*hook.*prune\.remove",
    ),
    ([np.eye(3)], TypeError, "model.*list"),
]


@pytest.mark.parametrize(("model", "error", "message"), NO_NETWORKS)
def test_what_is_no_linear_network_is_refused_by_name(model, error, message):
    with pytest.raises(error, match=message):
        dln.torch.weights(model)


@pytest.mark.parametrize("build", [dln.torch.to_sequential, dln.torch.ChainedLinear])
def test_what_is_no_chain_is_refused(build):
    with pytest.raises(ValueError, match=r"weights\[1\]"):
        build([np.eye(3), np.eye(4)])
    with pytest.raises(ValueError, match="nan"):
        build([np.full((3, 3), np.nan)])
    with pytest.raises(TypeError, match="float16"):
        build([np.eye(3, dtype=np.float16)])
