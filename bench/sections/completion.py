"""Matrix completion under one adaptive rate for all layers, against the loop people write."""

import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

import pydlnet as dln

from ..backends.pydlnet_run import finished
from ..cases import Layers
from ..contenders import Contender, check_finite, gather
from ..optional import optional
from ..oracle import check_close, reference
from ..report import OWN, Comparison, paragraphs, table
from ..timing import Plan, compare, say

LEARNING_RATE, DECAY, EPSILON = 1e-3, 0.99, 1e-4
AUTOGRAD = "PyTorch autograd"


@dataclass(frozen=True)
class Completion:
    """Some entries of a matrix of low rank; a network of equal hidden widths."""

    shape: tuple[int, int]
    n_observed: int
    depth: int
    hidden: int
    dtype: str = "float32"

    def __str__(self) -> str:
        rows, columns = self.shape
        return f"{rows}x{columns}, {self.n_observed} observed, N={self.depth}, {self.dtype}"

    @cached_property
    def problem(self) -> dln.MatrixCompletion:
        """Where the entries are and what they are."""
        return dln.MatrixCompletion.synthetic(self.shape, 5, self.n_observed, rng=0)

    @cached_property
    def start(self) -> Layers:
        """The layers; not to be written to."""
        widths = (self.shape[1], *[self.hidden] * (self.depth - 1), self.shape[0])
        return dln.init.gaussian(widths, end_to_end_scale=0.1, rng=1, dtype=np.dtype(self.dtype))

    @property
    def entries(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Rows, columns and values of what is observed."""
        return self.problem.rows, self.problem.columns, self.problem.values


SMALL = tuple(Completion((100, 100), 2_000, depth, 100) for depth in (2, 3))
LARGE = Completion((943, 1682), 100_000, 2, 943)
QUICK = Completion((30, 20), 200, 3, 20)


class Pydlnet:
    """The package."""

    def __init__(self, case: Completion) -> None:
        self._case = case
        self._method = dln.GroupRMSprop(LEARNING_RATE, decay=DECAY, epsilon=EPSILON)
        self._layers = case.start

    def run(self, n_steps: int) -> None:
        self._layers = finished(
            dln.run(
                self._case.problem,
                self._case.start,
                self._method,
                n_steps=n_steps,
                record=dln.Record(steps=[0]),
                progress=False,
            )
        ).weights

    def layers(self) -> Layers:
        return self._layers


class Autograd:
    """Dense W, index, backward, one global rate."""

    def __init__(self, case: Completion) -> None:
        self._torch = torch = optional("torch")
        self._start = case.start
        rows, columns, values = case.entries
        self._rows, self._columns = torch.from_numpy(rows.copy()), torch.from_numpy(columns.copy())
        self._values = torch.from_numpy(values.astype(case.dtype))
        self._parameters = []

    def run(self, n_steps: int) -> None:
        torch = self._torch
        self._parameters = [torch.nn.Parameter(torch.from_numpy(w.copy())) for w in self._start]
        square = torch.zeros(())
        for step in range(1, n_steps + 1):
            product = self._parameters[0]
            for layer in self._parameters[1:]:
                product = layer @ product
            residual = product[self._rows, self._columns] - self._values
            loss = 0.5 * (residual**2).mean()
            for layer in self._parameters:
                layer.grad = None
            loss.backward()
            with torch.no_grad():
                norm = sum((layer.grad**2).sum() for layer in self._parameters)
                square = DECAY * square + (1 - DECAY) * norm
                rate = LEARNING_RATE / ((square / (1 - DECAY**step)).sqrt() + EPSILON)
                for layer in self._parameters:
                    layer -= rate * layer.grad

    def layers(self) -> Layers:
        return [parameter.detach().numpy() for parameter in self._parameters]


FACTORIES = {OWN: Pydlnet, AUTOGRAD: Autograd}


def contenders(case: Completion) -> tuple[dict[str, Contender], dict[str, str]]:
    """Return those that are there and right."""
    factories = {name: partial(kind, case) for name, kind in FACTORIES.items()}
    return gather(factories, partial(_check, case))


def _check(case: Completion, name: str, contender: Contender) -> None:
    n_steps = 3
    contender.run(n_steps)
    expected = reference.descend(
        reference.group_rmsprop,
        [layer.astype(np.float64) for layer in case.start],
        lambda end_to_end: reference.completion_loss(end_to_end, *case.entries),
        [LEARNING_RATE] * n_steps,
        decay=DECAY,
        epsilon=EPSILON,
    )[-1]
    check_close(f"{name}, {case}", contender.layers(), expected, case.start)


def measure(plan: Plan) -> str:
    """Compare them in float32."""
    comparison = Comparison("case")
    cases = (QUICK,) if plan.quick else (*SMALL, LARGE)
    for case in cases:
        say(f"  {case}")
        there, missing = contenders(case)
        times, setting_up = compare({name: one.run for name, one in there.items()}, plan)
        check_finite(there)
        comparison.add(str(case), times, missing, setting_up[OWN])
    return paragraphs(
        "Time of one step under `GroupRMSprop`, one thread, against the loop that a researcher "
        "writes: dense W, index the observed entries, backward, one global adaptive rate.",
        comparison.render(),
        _memory(cases[-1]),
    )


def _memory(case: Completion) -> str:
    rows = []
    for name in FACTORIES:
        say(f"  memory of {name}")
        command = [
            sys.executable,
            "-m",
            "bench.memory",
            "QUICK" if case == QUICK else "LARGE",
            name,
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr)
        rows.append((name, done.stdout.strip()))
    return paragraphs(
        f"Peak memory of a process that runs {case}, above what it has after import:",
        table(("", "MB"), rows),
    )
