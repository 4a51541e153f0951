"""JAX in the forms that people write; which is fastest differs by size, so all are timed."""

from abc import abstractmethod
from functools import partial

import numpy as np

from ..cases import LEARNING_RATE, Case, Layers
from ..optional import Unavailable, optional
from .base import Backend

jax = optional("jax")
jnp = jax.numpy
jax.config.update("jax_enable_x64", True)

WIDEST_SUMS = 32


def _loss(layers, target):
    product = layers[0]
    for layer in layers[1:]:
        product = layer @ product
    return 0.5 * jnp.sum((product - target) ** 2)


def step_by_autodiff(layers, target):
    """Return the layers after a step, by value_and_grad."""
    _, gradients = jax.value_and_grad(_loss)(layers, target)
    return [w - LEARNING_RATE * g for w, g in zip(layers, gradients, strict=True)]


def step_by_hand(layers, target, multiply=jnp.matmul):
    """Return the layers after a step, the gradient written out."""
    prefix = [layers[0]]
    for layer in layers[1:]:
        prefix.append(multiply(layer, prefix[-1]))
    delta = prefix[-1] - target
    stepped = list(layers)
    for j in range(len(layers) - 1, 0, -1):
        stepped[j] = layers[j] - LEARNING_RATE * multiply(delta, prefix[j - 1].T)
        delta = multiply(layers[j].T, delta)
    stepped[0] = layers[0] - LEARNING_RATE * delta
    return stepped


@partial(jax.jit, static_argnames=("step", "n_steps", "unroll"))
def scan(layers, target, *, step, n_steps, unroll=1):
    """Take the steps with lax.scan, whose length is compiled in."""
    return jax.lax.scan(
        lambda carry, _: (step(carry, target), None), layers, length=n_steps, unroll=unroll
    )[0]


@partial(jax.jit, static_argnames="multiply")
def _loop(layers, target, n_steps, multiply=jnp.matmul):
    return jax.lax.fori_loop(0, n_steps, lambda _, w: step_by_hand(w, target, multiply), layers)


def _product_as_sums(left, right):
    """Return left @ right as XLA can fuse it with its neighbours, which it does not do to dots."""
    return (left[:, :, None] * right[None, :, :]).sum(1)


_jitted_step = jax.jit(step_by_autodiff)


class JaxForm(Backend):
    """What the forms share; each says how it takes the steps."""

    def __init__(self, case: Case) -> None:
        self._start = [jnp.asarray(w) for w in case.start]
        self._target = jnp.asarray(case.target)
        self._layers = self._start

    def run(self, n_steps: int) -> None:
        if n_steps == 0:  # not worth a compilation
            self._layers = self._start
            return
        self._layers = jax.block_until_ready(self._advance(n_steps))

    @abstractmethod
    def _advance(self, n_steps: int):
        """Return the layers after this many steps from the start."""

    def layers(self) -> Layers:
        return [np.asarray(layer) for layer in self._layers]


class JaxScan(JaxForm):
    def _advance(self, n_steps: int):
        return scan(self._start, self._target, step=step_by_autodiff, n_steps=n_steps)


class JaxScanByHand(JaxForm):
    def _advance(self, n_steps: int):
        return scan(self._start, self._target, step=step_by_hand, n_steps=n_steps)


class JaxScanUnrolled(JaxForm):
    def _advance(self, n_steps: int):
        return scan(self._start, self._target, step=step_by_hand, n_steps=n_steps, unroll=8)


class JaxLoop(JaxForm):
    def _advance(self, n_steps: int):
        return _loop(self._start, self._target, n_steps)


class JaxLoopOfSums(JaxForm):
    """Not a form that people write, but by far the fastest at the smallest widths."""

    def __init__(self, case: Case) -> None:
        if case.width > WIDEST_SUMS:
            raise Unavailable(f"slow beyond d = {WIDEST_SUMS}")
        super().__init__(case)

    def _advance(self, n_steps: int):
        return _loop(self._start, self._target, n_steps, multiply=_product_as_sums)


class JaxSteps(JaxForm):
    def _advance(self, n_steps: int):
        layers = self._start
        for _ in range(n_steps):
            layers = _jitted_step(layers, self._target)
        return layers
