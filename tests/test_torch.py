"""`ChainedLinear`: the fused pass as a module of PyTorch, against autograd's own."""

import copy
import doctest
import io
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from helpers import assert_close, network
from torch import nn
from torch.nn.utils import parametrizations, prune

import pydlnet as dln
from pydlnet import _core

SHAPES = [(4, 3), (1, 1), (4, 1, 3), (5, 6, 7, 2), (3, *[8] * 5, 3), (20, 2, 20)]
DTYPES = [torch.float32, torch.float64]
MANY = 200  # samples, so that the core is called


def chained(widths, dtype=torch.float64, seed=0):
    return dln.torch.ChainedLinear(network(widths, seed=seed)).to(dtype)


def plain(model):
    """Return the Sequential with the same layers."""
    return dln.torch.to_sequential(dln.torch.weights(model))


def gradients(model, inputs, cotangent):
    """Return outputs, and the gradients in inputs and layers."""
    inputs = inputs.detach().requires_grad_()
    outputs = model(inputs)
    return [outputs, *torch.autograd.grad(outputs, [inputs, *model.parameters()], cotangent)]


def compare(actual, expected, dtype):
    tolerance = 1e-12 if dtype == torch.float64 else 1e-4
    for a, e in zip(actual, expected, strict=True):
        assert a.dtype == e.dtype
        assert a.shape == e.shape
        torch.testing.assert_close(a, e, rtol=tolerance, atol=tolerance * 10)


# -- The chained module --

# PyTorch's own forward differentiation scripts its rules.
scripting = pytest.mark.filterwarnings("ignore:.torch.jit.script. is:DeprecationWarning")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("widths", SHAPES)
@pytest.mark.parametrize("n_samples", [0, 1, 7, 300])
def test_outputs_and_gradients_are_those_of_the_layers(widths, n_samples, dtype):
    model = chained(widths, dtype)
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(n_samples, widths[0], dtype=dtype, generator=generator)
    cotangent = torch.randn(n_samples, widths[-1], dtype=dtype, generator=generator)
    compare(gradients(model, inputs, cotangent), gradients(plain(model), inputs, cotangent), dtype)


@pytest.mark.parametrize("shape", [(), (1,), (2, 0), (2, 3, 4)])
def test_inputs_may_have_any_leading_shape(shape):
    model = chained((4, 3, 2))
    inputs = torch.randn(*shape, 4, dtype=torch.float64)
    compare([model(inputs)], [plain(model)(inputs)], torch.float64)


def test_memory_may_be_laid_out_in_any_way():
    model = chained((4, 6, 4))
    model.get_submodule("1").weight = nn.Parameter(
        model.get_submodule("1").weight.detach().T.clone().T
    )
    inputs = torch.randn(4, 200, 3, dtype=torch.float64)[:, ::2].permute(1, 2, 0)
    cotangent = torch.randn(4, dtype=torch.float64).expand(100, 3, 4)
    for views in (inputs, inputs[..., ::2].repeat(1, 1, 2), torch.flip(inputs, (0,))):
        compare(
            gradients(model, views, cotangent),
            gradients(plain(model), views, cotangent),
            torch.float64,
        )


@pytest.mark.parametrize(("n_samples", "is_called"), [(10, False), (MANY, True)])
def test_the_core_is_called_where_that_pays(n_samples, is_called, monkeypatch):
    calls = []

    def watched(layers, gradient, pull=_core.chain_gradients):
        calls.append(gradient.shape)
        return pull(layers, gradient)

    monkeypatch.setattr(_core, "chain_gradients", watched)
    chained((3, 4, 2))(torch.ones(n_samples, 3, dtype=torch.float64)).sum().backward()
    assert calls == [(2, 3)] * is_called


@scripting
@pytest.mark.parametrize("n_samples", [2, 80])
def test_derivatives_of_first_and_second_order_pass_the_checks_of_pytorch(n_samples):
    model = chained((3, 4, 5, 2))
    inputs = torch.randn(n_samples, 3, dtype=torch.float64, requires_grad=True)
    names = [name for name, _ in model.named_parameters()]

    def outputs(inputs, *layers):
        return torch.func.functional_call(model, dict(zip(names, layers, strict=True)), inputs)

    arguments = (inputs, *model.parameters())
    assert torch.autograd.gradcheck(outputs, arguments, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(outputs, arguments, fast_mode=True)


@scripting
def test_the_transforms_of_pytorch_see_through_it():
    model = chained((3, 4, 2))
    layers = {name: layer.detach() for name, layer in model.named_parameters()}
    inputs = torch.randn(3, MANY, 3, dtype=torch.float64)

    def loss(of):
        return lambda layers, x: torch.func.functional_call(of, layers, x).pow(2).sum()

    for transform in (
        lambda f: torch.func.vmap(torch.func.grad(f), (None, 0)),  # one gradient a batch
        lambda f: torch.func.hessian(f),
        lambda f: torch.func.jacfwd(f),
    ):
        actual = transform(loss(model))(layers, inputs)
        expected = transform(loss(plain(model)))(layers, inputs)
        torch.testing.assert_close(actual, expected)


def test_only_what_is_wanted_is_differentiated():
    model = chained((3, 4, 2))
    inputs = torch.randn(MANY, 3, dtype=torch.float64)
    with torch.no_grad():
        assert not model(inputs).requires_grad
    frozen = copy.deepcopy(model)
    frozen.get_submodule("0").weight.requires_grad_(False)
    frozen(inputs).sum().backward()
    model(inputs).sum().backward()
    assert frozen.get_submodule("0").weight.grad is None
    assert torch.equal(frozen.get_submodule("1").weight.grad, model.get_submodule("1").weight.grad)
    model.requires_grad_(False)
    assert not model(inputs).requires_grad
    inputs.requires_grad_()
    compare(
        torch.autograd.grad(model(inputs).sum(), inputs),
        torch.autograd.grad(plain(model)(inputs).sum(), inputs),
        torch.float64,
    )


def test_a_layer_may_be_used_twice():
    model = chained((3, 3, 3))
    model.get_submodule("1").weight = model.get_submodule("0").weight
    inputs = torch.randn(MANY, 3, dtype=torch.float64)
    (actual,) = torch.autograd.grad(model(inputs).pow(2).sum(), list(model.parameters()))
    weight = model.get_submodule("0").weight
    (expected,) = torch.autograd.grad((inputs @ weight.T @ weight.T).pow(2).sum(), weight)
    torch.testing.assert_close(actual, expected)


def test_numbers_that_are_not_finite_go_where_they_lead():
    model = chained((3, 4, 2))
    with torch.no_grad():
        model.get_submodule("0").weight[0, 0] = torch.nan
    assert model(torch.ones(MANY, 3, dtype=torch.float64)).isnan().all()


def test_hooks_of_layers_are_called():
    model, seen = chained((4, 3, 2)), []
    model.get_submodule("0").register_forward_hook(lambda module, inputs, outputs: seen.append(1))
    model.get_submodule("1").register_full_backward_hook(lambda *_: seen.append(2))
    inputs = torch.randn(MANY, 4, dtype=torch.float64)
    cotangent = torch.ones(MANY, 2, dtype=torch.float64)
    compare(
        gradients(model, inputs, cotangent),
        gradients(plain(model), inputs, cotangent),
        torch.float64,
    )
    assert seen == [1, 2]


def test_hooks_of_what_is_between_are_called():
    model, seen = chained((4, 3, 2)), []
    inner = nn.Sequential(model.get_submodule("0"), nn.Identity())
    model._modules["0"] = inner
    inner.register_forward_hook(lambda module, inputs, outputs: seen.append(1))
    inner[1].register_forward_hook(lambda module, inputs, outputs: 2 * outputs)
    inputs = torch.randn(MANY, 4, dtype=torch.float64)
    expected = 2 * inputs @ inner[0].weight.T @ model.get_submodule("1").weight.T
    torch.testing.assert_close(model(inputs), expected)
    assert seen == [1]


def pruned(layer):
    prune.l1_unstructured(layer, "weight", 0.5)


@pytest.mark.parametrize("change", [pruned, parametrizations.weight_norm])
def test_weights_that_are_computed_train_as_in_a_sequential(change):
    inputs = torch.randn(MANY, 4, dtype=torch.float64)
    models = [chained((4, 5, 3, 2)), plain(chained((4, 5, 3, 2)))]
    for model in models:
        change(model.get_submodule("1"))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            model(inputs).square().mean().backward()
            optimizer.step()
    assert list(models[0].state_dict()) == list(models[1].state_dict())
    compare(models[0].state_dict().values(), models[1].state_dict().values(), torch.float64)


def test_a_layer_that_changes_before_the_backward_pass_is_noticed():
    model = chained((4, 3, 2))
    outputs = model(torch.randn(MANY, 4, dtype=torch.float64))
    with torch.no_grad():
        model.get_submodule("1").weight.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        outputs.sum().backward()


# -- State, copies, threads, compilation --


def test_the_state_is_that_of_a_sequential():
    model, other = chained((4, 3, 2), seed=1), chained((4, 3, 2), seed=2)
    sequential = plain(other)
    assert list(model.state_dict()) == ["0.weight", "1.weight"]
    sequential.load_state_dict(model.state_dict())
    other.load_state_dict(sequential.state_dict())
    assert_close(dln.torch.weights(other), dln.torch.weights(model), 0.0)


def test_copies_and_pickles_are_the_module():
    model = chained((4, 3, 2))
    inputs = torch.randn(MANY, 4, dtype=torch.float64)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    copies = [
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        torch.load(file, weights_only=False),
    ]
    for other in copies:
        assert torch.equal(other(inputs), model(inputs))
        with torch.no_grad():
            other.get_submodule("0").weight.zero_()
        assert model(inputs).abs().sum() > 0.0


def test_threads_do_not_disturb_each_other():
    model = chained((20, 30, 10))
    batches = [torch.randn(200, 20, dtype=torch.float64) for _ in range(16)]
    ones = torch.ones(200, 10, dtype=torch.float64)
    expected = [gradients(model, batch, ones) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda batch: gradients(model, batch, ones), batches))
    for a, e in zip(found, expected, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, e, strict=True))


def test_a_compiled_module_computes_the_same():
    model = chained((4, 3, 2))
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    inputs = torch.randn(MANY, 4, dtype=torch.float64)
    ones = torch.ones(MANY, 2, dtype=torch.float64)
    compare(gradients(compiled, inputs, ones), gradients(model, inputs, ones), torch.float64)


def test_training_is_gradient_descent():
    rng = np.random.default_rng(0)
    inputs, outputs = rng.standard_normal((50, 4)), rng.standard_normal((50, 3))
    weights = network((4, 5, 3), scale=0.5)
    model = dln.torch.ChainedLinear(weights)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(20):
        optimizer.zero_grad()
        residual = model(torch.from_numpy(inputs)) - torch.from_numpy(outputs)
        (0.5 * residual.pow(2).sum(1).mean()).backward()
        optimizer.step()
    method = dln.GradientDescent(0.05)
    trajectory = dln.run(dln.Regression(inputs, outputs), weights, method, n_steps=20)
    assert_close(dln.torch.weights(model), trajectory.weights, 1e-12)


# -- What is refused --


def ones(*shape, **options):
    return torch.ones(*shape, **{"dtype": torch.float64, **options})


WRONG_INPUTS = [
    (ones(5, 4, dtype=torch.float16), TypeError, "inputs: .*float16"),
    (ones(5, 4, dtype=torch.bfloat16), TypeError, "inputs: .*bfloat16"),
    (ones(5, 4, dtype=torch.int64), TypeError, "inputs: .*int64"),
    (ones(5, 4, dtype=torch.complex128), TypeError, "inputs: .*complex128"),
    (ones(5, 4, dtype=torch.float32), TypeError, "layer 1: .*float32 like inputs.*float64"),
    (ones(5, 4, device="meta"), ValueError, "inputs: .*CPU.*meta"),
    (ones(5, 4).to_sparse(), TypeError, "inputs: .*sparse"),
    (ones(5, 3), ValueError, r"inputs: .*\(\.\.\., 4\).*\(5, 3\)"),
    (torch.tensor(1.0, dtype=torch.float64), ValueError, r"inputs: .*\(\)"),
    (np.ones((5, 4)), TypeError, "inputs: .*ndarray"),
]


@pytest.mark.parametrize(("inputs", "error", "message"), WRONG_INPUTS)
def test_wrong_inputs_are_refused_by_name(inputs, error, message):
    with pytest.raises(error, match=message):
        chained((4, 3, 2))(inputs)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_nested_inputs_are_refused():
    inputs = torch.nested.nested_tensor([ones(2, 4), ones(3, 4)])
    with pytest.raises(TypeError, match=r"inputs: .*nested"):
        chained((4, 3, 2))(inputs)


@pytest.mark.parametrize("change", [lambda m: m.half(), lambda m: m.to("meta")])
def test_layers_that_the_core_cannot_read_are_refused(change):
    model = change(chained((4, 3, 2)))
    with pytest.raises((TypeError, ValueError), match=r"layer 1: .*(float16|meta)"):
        model(ones(5, 4))


def test_automatic_half_precision_is_refused():
    with torch.autocast("cpu", dtype=torch.bfloat16), pytest.raises(TypeError, match="autocast"):
        chained((4, 3, 2))(ones(5, 4))


def test_a_module_that_is_no_layer_is_refused():
    model = chained((4, 3, 2))
    model.add_module("2", nn.ReLU())
    with pytest.raises(TypeError, match=r"ChainedLinear\[2\].*ReLU"):
        model(ones(5, 4))


# -- Without PyTorch --


def test_pytorch_is_loaded_when_it_is_used(isolated):
    code = "import sys, pydlnet; assert 'torch' not in sys.modules; pydlnet.torch.weights"
    result = isolated(code + "; assert 'torch' in sys.modules")
    assert result.returncode == 0, result.stderr


def test_a_missing_library_is_named_with_its_extra(isolated):
    result = isolated("import sys; sys.modules['torch'] = None; import pydlnet; pydlnet.torch")
    assert "ImportError: pydlnet.torch needs PyTorch" in result.stderr
    assert "pydlnet[torch]" in result.stderr


def test_the_examples_of_the_docstrings_run():
    assert doctest.testmod(dln.torch).failed == 0
