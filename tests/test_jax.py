"""JAX: the core called back from compiled programs, against JAX's own derivatives."""

import doctest
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import network

import pydlnet as dln

WIDTHS = (4, 6, 5, 3)
TARGET = np.random.default_rng(0).standard_normal((3, 4))
SAMPLES = np.random.default_rng(1).standard_normal((9, 4))
OUTPUTS = np.random.default_rng(2).standard_normal((9, 3))
LABELS = np.arange(9) % 3


def squared(end_to_end):
    return 0.5 * jnp.sum((end_to_end - TARGET) ** 2)


def regression(end_to_end):
    residual = jnp.asarray(SAMPLES) @ end_to_end.T - OUTPUTS
    return jnp.mean(jnp.sum(residual**4, axis=1)) / 4


def cross_entropy(end_to_end):
    scores = jax.nn.log_softmax(jnp.asarray(SAMPLES) @ end_to_end.T)
    return -jnp.mean(scores[jnp.arange(9), LABELS])


PROBLEMS = [
    (dln.TargetMatrix(TARGET), squared),
    (dln.Regression(SAMPLES, OUTPUTS, power=4), regression),
    (dln.Classification(SAMPLES, LABELS), cross_entropy),
]


@pytest.fixture(params=[np.float32, np.float64])
def dtype(request):
    with jax.enable_x64(request.param is np.float64):
        yield request.param


def definition(loss):
    """Return the loss of the layers as its definition reads."""

    def of_layers(weights):
        end_to_end = weights[0]
        for layer in weights[1:]:
            end_to_end = layer @ end_to_end
        return loss(end_to_end)

    return of_layers


def compare(actual, expected, dtype):
    tolerance = 1e-10 if dtype is np.float64 else 2e-4
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert a.dtype == e.dtype == dtype
        np.testing.assert_allclose(a, e, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("problem", "loss"), PROBLEMS)
def test_values_and_derivatives_are_those_of_jax(problem, loss, dtype):
    weights = [jnp.asarray(layer) for layer in network(WIDTHS, dtype=dtype)]
    reference = definition(loss)
    both = jax.value_and_grad(reference)(weights)
    compiled = jax.jit(lambda w: dln.jax.chain_value_and_gradients(w, problem))

    def value(weights):
        return dln.jax.chain_value(weights, problem)

    compare(dln.jax.chain_value_and_gradients(weights, problem), both, dtype)
    compare(compiled(weights), both, dtype)
    compare(value(weights), both[0], dtype)
    compare(jax.jit(jax.value_and_grad(value))(weights), both, dtype)
    direction = [jnp.asarray(layer) for layer in network(WIDTHS, seed=1, dtype=dtype)]
    for function in (jax.jvp, jax.jit(jax.jvp, static_argnums=0)):
        compare(
            function(value, (weights,), (direction,)),
            jax.jvp(reference, (weights,), (direction,)),
            dtype,
        )
        compare(
            function(jax.grad(value), (weights,), (direction,)),
            jax.jvp(jax.grad(reference), (weights,), (direction,)),
            dtype,
        )


def test_the_hessian_is_that_of_jax(dtype):
    problem, loss = PROBLEMS[0]
    weights = [jnp.asarray(layer) for layer in network(WIDTHS, dtype=dtype)]
    actual = jax.jit(jax.hessian(lambda w: dln.jax.chain_value(w, problem)))(weights)
    compare(actual, jax.hessian(definition(loss))(weights), dtype)


def test_batches_of_networks_go_through_vmap(dtype):
    problem, loss = PROBLEMS[0]
    weights = [jnp.asarray(layer) for layer in network(WIDTHS, dtype=dtype)]
    batch = [jnp.stack([layer, 2 * layer, -layer]) for layer in weights]
    expected = jax.vmap(jax.value_and_grad(definition(loss)))(batch)
    mapped = jax.vmap(lambda w: dln.jax.chain_value_and_gradients(w, problem))
    compare(mapped(batch), expected, dtype)
    compare(jax.jit(mapped)(batch), expected, dtype)
    mixed = [batch[0], *weights[1:]]
    axes = ([0, *[None] * (len(weights) - 1)],)
    compare(
        jax.vmap(jax.grad(lambda w: dln.jax.chain_value(w, problem)), axes)(mixed),
        jax.vmap(jax.grad(definition(loss)), axes)(mixed),
        dtype,
    )
    twice = [jnp.stack([layer, layer + 1]) for layer in batch]
    compare(
        jax.vmap(mapped)(twice),
        jax.vmap(jax.vmap(jax.value_and_grad(definition(loss))))(twice),
        dtype,
    )


def test_descent_in_a_loop_is_that_of_run(dtype):
    problem, _ = PROBLEMS[0]
    weights = network(WIDTHS, dtype=dtype)

    def step(_, layers):
        gradients = jax.grad(dln.jax.chain_value)(layers, problem)
        return jax.tree.map(lambda layer, gradient: layer - 0.01 * gradient, layers, gradients)

    layers = jax.jit(lambda w: jax.lax.fori_loop(0, 50, step, w))(
        [jnp.asarray(layer) for layer in weights]
    )
    trajectory = dln.run(problem, weights, dln.GradientDescent(0.01), n_steps=50)
    compare(layers, [jnp.asarray(layer) for layer in trajectory.weights], dtype)


def test_tuples_stay_tuples():
    weights = tuple(network(WIDTHS, dtype=np.float32))
    _, gradients = dln.jax.chain_value_and_gradients(weights, PROBLEMS[0][0])
    assert type(gradients) is tuple


def test_numbers_that_are_not_finite_go_where_they_lead():
    weights = network(WIDTHS, dtype=np.float32)
    weights[0][0, 0] = np.nan
    value, gradients = jax.jit(jax.value_and_grad(dln.jax.chain_value), static_argnums=1)(
        weights, PROBLEMS[0][0]
    )
    assert np.isnan(value)
    assert np.isnan(gradients[1]).all()
    hessian = jax.hessian(dln.jax.chain_value)(weights, PROBLEMS[0][0])
    assert np.isnan(hessian[0][0]).all()


WRONG = [
    ([], ValueError, "at least one layer"),
    (np.ones((3, 4), np.float32), TypeError, "weights: .*list"),
    ({"W1": np.ones((3, 4), np.float32)}, TypeError, "weights: .*dict"),
    ([np.ones(4, np.float32)], ValueError, r"weights\[0\]: .*matrix.*\(4,\)"),
    ([np.ones((3, 4), np.float16)], TypeError, r"weights\[0\]: .*float16"),
    ([np.ones((3, 4), int)], TypeError, r"weights\[0\]: .*int32"),
    (
        [np.ones((5, 4), np.float32), np.ones((3, 6), np.float32)],
        ValueError,
        r"weights\[1\]: .*\(3, 5\).*\(3, 6\)",
    ),
    ([np.ones((3, 5), np.float32)], ValueError, r"weights: .*\(3, 4\).*\(3, 5\)"),
]


@pytest.mark.parametrize(("weights", "error", "message"), WRONG)
@pytest.mark.parametrize("function", [dln.jax.chain_value, dln.jax.chain_value_and_gradients])
def test_wrong_weights_are_refused_by_name(function, weights, error, message):
    with pytest.raises(error, match=message):
        jax.jit(function, static_argnums=1)(weights, PROBLEMS[0][0])


def test_what_is_no_problem_is_refused():
    with pytest.raises(TypeError, match=r"problem: .*float"):
        dln.jax.chain_value(network(WIDTHS, dtype=np.float32), 1.0)


def test_a_mixture_of_dtypes_is_refused():
    weights = [np.ones((4, 4), np.float64), np.ones((3, 4), np.float32)]
    with jax.enable_x64(True), pytest.raises(TypeError, match=r"weights\[1\]: .*float64.*float32"):
        dln.jax.chain_value(weights, PROBLEMS[0][0])


def test_a_loss_without_second_derivative_says_so():
    problem = dln.Regression(SAMPLES, OUTPUTS, power=1.5)
    weights = [jnp.asarray(layer) for layer in network(WIDTHS, dtype=np.float32)]
    with pytest.raises(ValueError, match="power of at least 2"):
        jax.hessian(dln.jax.chain_value)(weights, problem)


def test_programs_on_other_devices_get_copies(monkeypatch, dtype):
    monkeypatch.setattr(
        jax.lax, "platform_dependent", lambda *matrices, cpu, default: default(*matrices)
    )
    problem, loss = PROBLEMS[0]
    weights = [jnp.asarray(layer) for layer in network(WIDTHS, dtype=dtype)]
    batch = [jnp.stack([layer, 2 * layer]) for layer in weights]
    mapped = jax.vmap(jax.value_and_grad(lambda w: dln.jax.chain_value(w, problem)))
    compare(jax.jit(mapped)(batch), jax.vmap(jax.value_and_grad(definition(loss)))(batch), dtype)


# On one processor XLA has one thread for its programs and for what they wait for, whatever JAX is
# told after its first use; four devices may take every thread of several.
LARGE = """
import os
import jax, jax.numpy as jnp, numpy as np, pydlnet as dln
if {in_turn}:
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    jnp.ones(3).block_until_ready()
dln.jax
problem = dln.TargetMatrix(np.eye(300))
value_and_gradients = jax.value_and_grad(lambda w: dln.jax.chain_value(w, problem))
"""
IN_TURN = """
step = jax.jit(value_and_gradients)
weights = [jnp.eye(300) * 0.5 for _ in range(3)]
for _ in range(20):
    value, gradients = step([w * 1.0 for w in weights])
print(float(value))
"""
AT_ONCE = """
weights = [jnp.stack([jnp.eye(300) * 0.5] * 4) for _ in range(3)]
for _ in range(5):
    values, gradients = jax.pmap(value_and_gradients)(weights)
assert values.shape == (4,)
print(float(values[3]))
"""


@pytest.mark.parametrize("in_turn", [True, False])
def test_large_layers_do_not_wait_for_themselves(isolated, in_turn):
    code = LARGE.format(in_turn=in_turn) + (IN_TURN if in_turn else AT_ONCE)
    result = isolated(code, XLA_FLAGS="--xla_force_host_platform_device_count=4")
    assert float(result.stdout) == pytest.approx(300 * (1 - 0.125) ** 2 / 2), result.stderr


def test_threads_do_not_disturb_each_other():
    problem, _ = PROBLEMS[0]
    function = jax.jit(jax.value_and_grad(lambda w: dln.jax.chain_value(w, problem)))
    networks = [network(WIDTHS, seed=seed, dtype=np.float32) for seed in range(8)]
    expected = [function(weights) for weights in networks]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(function, networks * 20))
    assert jax.tree.all(jax.tree.map(np.array_equal, found, expected * 20))


def test_the_settings_of_jax_stay_as_they_are(isolated):
    code = "import jax; before = dict(jax.config.values); import pydlnet; pydlnet.jax.chain_value"
    result = isolated(code + "; assert jax.config.values == before")
    assert result.returncode == 0, result.stderr


def test_a_missing_library_is_named_with_its_extra(isolated):
    result = isolated("import sys; sys.modules['jax'] = None; import pydlnet; pydlnet.jax")
    assert "ImportError: pydlnet.jax needs JAX" in result.stderr
    assert "pydlnet[jax]" in result.stderr


def test_the_examples_of_the_docstrings_run():
    assert doctest.testmod(dln.jax).failed == 0
