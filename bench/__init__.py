"""Side-by-side timings of pydlnet and what its users would write instead.

Everything runs on one thread unless a section says otherwise. The libraries read these variables
when they are loaded, so they are set before any of them is.
"""

import os

for _variable in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ.setdefault(f"{_variable}_NUM_THREADS", "1")
