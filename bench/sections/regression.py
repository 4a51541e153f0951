"""Regression with more and more samples, against autograd on the data."""

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

import pydlnet as dln

from ..backends.pydlnet_run import finished
from ..cases import LEARNING_RATE, Layers
from ..contenders import Contender, check_finite, gather
from ..optional import optional
from ..oracle import check_close, reference
from ..report import OWN, Comparison, paragraphs, significant
from ..timing import Plan, compare, in_turn, say

SAMPLES = (100, 1_000, 10_000, 100_000)
AUTOGRAD = "PyTorch autograd on the data"


@dataclass(frozen=True)
class Samples:
    """The mean over samples of 1/2 |W x - y|^2, for a linear map with noise."""

    n_samples: int
    width: int = 100
    depth: int = 3

    @cached_property
    def start(self) -> Layers:
        """The layers; not to be written to."""
        rng = np.random.default_rng(0)
        shape = (self.width, self.width)
        return [rng.standard_normal(shape) / np.sqrt(self.width) for _ in range(self.depth)]

    @cached_property
    def data(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Inputs and outputs, one sample a row."""
        rng = np.random.default_rng(1)
        inputs = rng.standard_normal((self.n_samples, self.width))
        noise = rng.standard_normal((self.n_samples, self.width))
        return inputs, inputs @ rng.standard_normal((self.width, self.width)) / 50 + 0.1 * noise


class Pydlnet:
    """The package, which needs no more than second moments of the data."""

    def __init__(self, case: Samples) -> None:
        self._start = case.start
        self._problem = dln.Regression(*case.data)
        self._layers = self._start

    def run(self, n_steps: int) -> None:
        self._layers = finished(
            dln.run(
                self._problem,
                self._start,
                dln.GradientDescent(LEARNING_RATE),
                n_steps=n_steps,
                record=dln.Record(steps=[0]),
                progress=False,
            )
        ).weights

    def layers(self) -> Layers:
        return self._layers


class Autograd:
    """The loop that most people write."""

    def __init__(self, case: Samples) -> None:
        self._torch = optional("torch")
        self._start = case.start
        self._inputs, self._outputs = (self._torch.from_numpy(array) for array in case.data)
        self._parameters = []

    def run(self, n_steps: int) -> None:
        torch = self._torch
        self._parameters = [torch.nn.Parameter(torch.from_numpy(w.copy())) for w in self._start]
        optimizer = torch.optim.SGD(self._parameters, lr=LEARNING_RATE)
        for _ in range(n_steps):
            optimizer.zero_grad()
            hidden = self._inputs
            for layer in self._parameters:
                hidden = hidden @ layer.T
            loss = 0.5 * ((hidden - self._outputs) ** 2).sum() / len(hidden)
            loss.backward()
            optimizer.step()

    def layers(self) -> Layers:
        return [parameter.detach().numpy() for parameter in self._parameters]


def contenders(case: Samples) -> tuple[dict[str, Contender], dict[str, str]]:
    """Return those that are there and right."""
    factories = {OWN: partial(Pydlnet, case), AUTOGRAD: partial(Autograd, case)}
    return gather(factories, partial(_check, case))


def _check(case: Samples, name: str, contender: Contender) -> None:
    n_steps = 2
    contender.run(n_steps)
    expected = reference.descend(
        reference.gradient_descent,
        case.start,
        lambda end_to_end: reference.regression_loss(end_to_end, *case.data),
        [LEARNING_RATE] * n_steps,
    )[-1]
    check_close(f"{name}, {case}", contender.layers(), expected, case.start)


def measure(plan: Plan) -> str:
    """Compare them at d = 100, N = 3, in float64."""
    comparison, once = Comparison("m"), []
    for n_samples in SAMPLES[:2] if plan.quick else SAMPLES:
        say(f"  m={n_samples}")
        case = Samples(n_samples)
        there, missing = contenders(case)
        times, setting_up = compare({name: one.run for name, one in there.items()}, plan)
        check_finite(there)
        comparison.add(str(n_samples), times, missing, setting_up[OWN])
        first = in_turn({"first": lambda case=case: Pydlnet(case).run(0)}, min(3, plan.rounds))
        once.append(f"{significant(1e3 * first['first'].median)} ms at m = {n_samples}")
    return paragraphs(
        "Time of one step on m samples, d = 100, N = 3, float64, one thread. pydlnet steps on "
        "second moments, which it takes from the data once for each problem: the first run of a "
        f"problem is longer by no more than {', '.join(once)}.",
        comparison.render(),
    )
