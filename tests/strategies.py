"""Hypothesis strategies: networks of depth 1-6 and widths 1-12, problems and starts."""

import numpy as np
from cases import PROBLEM_KINDS, problem_case
from helpers import network
from hypothesis import strategies as st

import pydlnet as dln

seeds = st.integers(0, 2**32 - 1)
dtypes = st.sampled_from([np.float64, np.float32])


def widths(min_depth=1, max_depth=6, max_width=12):
    """Return (d_0, ..., d_N), with bottlenecks and ones."""
    return st.lists(st.integers(1, max_width), min_size=min_depth + 1, max_size=max_depth + 1).map(
        tuple
    )


@st.composite
def networks(draw, min_depth=1, max_depth=6, max_width=12, dtype=np.float64):
    """Return random layers."""
    return network(
        draw(widths(min_depth, max_depth, max_width)),
        draw(seeds),
        draw(st.sampled_from([0.3, 1.0, 1.5])),
        dtype,
    )


@st.composite
def experiments(draw, kinds=tuple(PROBLEM_KINDS), **kwargs):
    """Return layers and a problem of their shape as a ProblemCase."""
    weights = draw(networks(**kwargs))
    case = problem_case(
        draw(st.sampled_from(kinds)),
        (weights[-1].shape[0], weights[0].shape[1]),
        draw(seeds),
        draw(st.sampled_from(["mean", "sum"])),
    )
    return weights, case


@st.composite
def starts(draw):
    """Return the widths and layers of a start by one of the package's recipes."""
    sizes = draw(widths())
    seed = draw(seeds)
    kind = draw(st.sampled_from(["balanced", "gaussian", "uniform", "orthogonal", "identity"]))
    if kind == "gaussian":
        return sizes, dln.init.gaussian(sizes, 0.5, seed)
    if kind == "identity":
        return sizes, dln.init.identity(sizes, 0.5)
    return sizes, getattr(dln.init, kind)(sizes, 0.5, seed)


matrices = st.builds(
    lambda m, n, seed, exponent: (
        np.random.default_rng(seed).standard_normal((m, n)) * 10.0**exponent
    ),
    st.integers(1, 12),
    st.integers(1, 12),
    seeds,
    st.integers(-8, 8),
)
