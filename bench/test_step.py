"""Steps of one network: `pytest bench/`, or with --benchmark-disable the answers alone.

What is timed here is a whole run, setting up included, which is most of pydlnet's at the smallest
widths. `python -m bench` tells what a step takes.
"""

import pytest

from .backends import NAMES, check_agreement, prepare
from .optional import Unavailable

# What the peers use of each other is theirs to mend.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.mark.parametrize("name", NAMES)
def test_step(benchmark, case, name):
    try:
        backend = prepare(name, case)
    except Unavailable as error:
        pytest.skip(f"{name}: {error}")
    check_agreement(case, name, backend)
    n_steps = max(2, 20_000 // case.width**2)
    benchmark.group = str(case)
    benchmark.extra_info["steps"] = n_steps
    backend.run(n_steps)  # may compile something
    benchmark(backend.run, n_steps)
