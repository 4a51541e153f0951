"""Trajectories of gradient descent over deep linear networks W = W_N ... W_1.

Layer j is ``weights[j - 1]``, of shape (d_j, d_{j-1}); layer 1 acts first. ``widths`` are
(d_0, ..., d_N) and ``depth`` is N. The end-to-end matrix W has shape (d_N, d_0). A step is one
update of all layers; step 0 is the start.
"""

from . import _core as _core  # where no module of it runs, this import says so
from ._public import attach as _attach

# The names are in `__init__.pyi`; what they need is loaded when they are used.
__getattr__, __dir__, __all__ = _attach(__name__, __file__)
