"""Steps of one network: `pytest bench/`."""

import pytest

from .backends import BACKENDS, check_agreement
from .cases import CASES


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("name", BACKENDS)
def test_step(benchmark, case, name):
    check_agreement(case, BACKENDS[name])
    backend = BACKENDS[name](case)
    n_steps = max(1, 20_000 // case.width**2)
    benchmark.extra_info["steps"] = n_steps
    benchmark(backend.run, n_steps)
