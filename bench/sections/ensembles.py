"""Many small networks at once, two threads."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

import pydlnet as dln

from ..cases import LEARNING_RATE, Layers
from ..contenders import Contender, check_finite, gather
from ..optional import optional
from ..oracle import check_close, reference
from ..report import OWN, Comparison, paragraphs
from ..timing import Plan, compare, say

WIDTHS = (4, 10, 16, 20, 50)
MEMBERS = (1, 8, 64, 256)
THREADS = 2

Stack = NDArray[np.floating]  # (members, d, d)


@dataclass(frozen=True)
class Ensemble:
    """Networks of one shape from different starts, with one target."""

    width: int
    members: int = 64
    depth: int = 3

    @cached_property
    def start(self) -> list[Stack]:
        """The layers, each for all members; not to be written to."""
        rng = np.random.default_rng(self.width)
        shape = (self.members, self.width, self.width)
        return [rng.standard_normal(shape) / np.sqrt(self.width) for _ in range(self.depth)]

    @cached_property
    def target(self) -> Stack:
        """The target of all; not to be written to."""
        rng = np.random.default_rng(self.width + 1)
        return rng.standard_normal((self.width, self.width)) / self.width

    def member(self, i: int) -> Layers:
        """Return the layers of one member."""
        return [layer[i] for layer in self.start]


class Pydlnet:
    """The package; the end-to-end matrices tell whether it is right."""

    def __init__(self, case: Ensemble) -> None:
        self._problem = dln.TargetMatrix(case.target)
        self._starts = [case.member(i) for i in range(case.members)]
        self._record = dln.Record("end_to_end", steps=[0])
        self._products: Layers = []

    def run(self, n_steps: int) -> None:
        result = dln.run_ensemble(
            self._problem,
            self._starts,
            dln.GradientDescent(LEARNING_RATE),
            n_steps=n_steps,
            record=self._record,
            progress=False,
            threads=THREADS,
        )
        last = result.data.end_to_end.sel(step=n_steps)
        self._products = [last.transpose("run", "output", "input").values]

    def layers(self) -> Layers:
        return self._products


class Batched:
    """What the others share: layers of shape (members, d, d), and their products."""

    def __init__(self, case: Ensemble) -> None:
        self._start = case.start
        self._target = case.target
        self._stacks = [layer.copy() for layer in self._start]

    def layers(self) -> Layers:
        return [reference.product(self._stacks)]


class NumPyBatched(Batched):
    """NumPy's batched matmul, into buffers."""

    def __init__(self, case: Ensemble) -> None:
        super().__init__(case)
        self._prefix = [np.empty_like(layer) for layer in self._start]
        self._delta = [np.empty_like(layer) for layer in self._start]
        self._gradient = np.empty_like(self._start[0])

    def run(self, n_steps: int) -> None:
        for layer, start in zip(self._stacks, self._start, strict=True):
            layer[...] = start
        for _ in range(n_steps):
            self._step()

    def _step(self) -> None:
        w, prefix, delta = self._stacks, self._prefix, self._delta
        prefix[0] = w[0]
        for j in range(1, len(w)):
            np.matmul(w[j], prefix[j - 1], out=prefix[j])
        np.subtract(prefix[-1], self._target, out=delta[-1])
        for j in range(len(w) - 1, 0, -1):
            np.matmul(w[j].swapaxes(1, 2), delta[j], out=delta[j - 1])
        for j in range(len(w) - 1, 0, -1):
            np.matmul(delta[j], prefix[j - 1].swapaxes(1, 2), out=self._gradient)
            self._gradient *= LEARNING_RATE
            w[j] -= self._gradient
        np.multiply(delta[0], LEARNING_RATE, out=self._gradient)
        w[0] -= self._gradient


class TorchBatched(Batched):
    """torch.bmm into buffers, updates by baddbmm, no graph."""

    def __init__(self, case: Ensemble, threads: int = THREADS) -> None:
        super().__init__(case)
        self._torch = torch = optional("torch")
        self._threads = threads
        self._first = [torch.from_numpy(layer.copy()) for layer in self._start]
        self._phi = torch.from_numpy(case.target.copy())
        self._w = [torch.from_numpy(layer) for layer in self._stacks]
        self._prefix = [torch.empty_like(layer) for layer in self._w]
        self._delta = [torch.empty_like(layer) for layer in self._w]

    def run(self, n_steps: int) -> None:
        self._torch.set_num_threads(self._threads)
        with self._torch.inference_mode():
            for layer, start in zip(self._w, self._first, strict=True):
                layer.copy_(start)
            for _ in range(n_steps):
                self._step()

    def _step(self) -> None:
        w, prefix, delta, torch = self._w, self._prefix, self._delta, self._torch
        prefix[0].copy_(w[0])
        for j in range(1, len(w)):
            torch.bmm(w[j], prefix[j - 1], out=prefix[j])
        torch.sub(prefix[-1], self._phi, out=delta[-1])
        for j in range(len(w) - 1, 0, -1):
            torch.bmm(w[j].mT, delta[j], out=delta[j - 1])
            w[j].baddbmm_(delta[j], prefix[j - 1].mT, alpha=-LEARNING_RATE)
        w[0].sub_(delta[0], alpha=LEARNING_RATE)


class JaxBatched(Batched):
    """jax.vmap of the step written by hand, in a scan."""

    def __init__(self, case: Ensemble, unroll: int = 1) -> None:
        super().__init__(case)
        self._jax = jax = optional("jax")
        from ..backends import jax_forms

        self._scan = partial(
            jax_forms.scan, step=jax.vmap(jax_forms.step_by_hand, (0, None)), unroll=unroll
        )
        self._first = [jax.numpy.asarray(layer) for layer in self._start]
        self._phi = jax.numpy.asarray(case.target)

    def run(self, n_steps: int) -> None:
        w = self._first
        if n_steps:  # else not worth a compilation
            w = self._jax.block_until_ready(self._scan(w, self._phi, n_steps=n_steps))
        self._stacks = w

    def layers(self) -> Layers:
        return [reference.product([np.asarray(layer) for layer in self._stacks])]


PEERS: dict[str, Callable[[Ensemble], Contender]] = {
    "NumPy batched matmul": NumPyBatched,
    "torch.bmm": TorchBatched,
    "torch.bmm, one thread": partial(TorchBatched, threads=1),
    "JAX vmap, scan": JaxBatched,
    "JAX vmap, scan unrolled by 8": partial(JaxBatched, unroll=8),
}


def is_available() -> bool:
    """Return whether this pydlnet runs ensembles."""
    return hasattr(dln, "run_ensemble")


def contenders(case: Ensemble) -> tuple[dict[str, Contender], dict[str, str]]:
    """Return those that are there and right."""
    own = {OWN: Pydlnet} if is_available() else {}
    factories = {name: partial(kind, case) for name, kind in (own | PEERS).items()}
    return gather(factories, partial(_check, case))


def _check(case: Ensemble, name: str, contender: Contender) -> None:
    n_steps = 10
    contender.run(n_steps)
    ends = [
        reference.descend(
            reference.gradient_descent,
            case.member(i),
            lambda end_to_end: reference.target_loss(end_to_end, case.target),
            [LEARNING_RATE] * n_steps,
        )[-1]
        for i in range(case.members)
    ]
    expected = np.stack([reference.product(end) for end in ends])
    check_close(f"{name}, {case}", contender.layers(), [expected], [reference.product(case.start)])


def measure(plan: Plan) -> str:
    """Compare them by width, then by number of members."""
    if not is_available():
        return "Left out: `dln.run_ensemble` is not there yet."
    widths, members = (WIDTHS[1::2], MEMBERS[:2]) if plan.quick else (WIDTHS, MEMBERS)
    return paragraphs(
        f"Time of one step of the whole ensemble, N = 3, float64, {THREADS} threads (NumPy has "
        "one for batches).",
        "### Width, 64 members",
        _compare([Ensemble(width) for width in widths], [str(d) for d in widths], "d", plan),
        "### Members, d = 10",
        _compare([Ensemble(10, n) for n in members], [str(n) for n in members], "members", plan),
    )


def _compare(cases: list[Ensemble], labels: list[str], corner: str, plan: Plan) -> str:
    comparison = Comparison(corner)
    for case, label in zip(cases, labels, strict=True):
        say(f"  {case}")
        there, missing = contenders(case)
        times, setting_up = compare({name: one.run for name, one in there.items()}, plan)
        check_finite(there)
        comparison.add(label, times, missing, setting_up[OWN])
    return comparison.render()
