"""Pictures of runs, ensembles and sweeps, drawn on Matplotlib axes.

Every function returns the axes it drew on. Without `ax` it draws on a figure of its own that
pyplot knows nothing of: no window opens, no global state changes, `ax.figure.savefig(...)` writes
it. Labels are the long names and units of the dataset, with their formulas as mathtext. Steps that
were recorded evenly are on a linear axis; others, such as log-spaced ones, on a logarithmic axis
that is linear from 0 to 1, so that step 0 is on it. Flows are drawn over their time, with an axis
that is linear up to the first recorded time.

Lines differ in colour (Okabe & Ito's palette) and in style, so that they can be told apart with
colour-blind eyes and in grey.
"""

from .animations import animate_end_to_end
from .bounds import check
from .curvature import sharpness
from .curves import effective_rank, loss, quantity
from .ensembles import ensemble
from .grids import heat_map
from .layers import imbalance, layer_norms
from .matrices import end_to_end
from .predictions import overlay
from .spectra import singular_values

__all__ = [
    "animate_end_to_end",
    "check",
    "effective_rank",
    "end_to_end",
    "ensemble",
    "heat_map",
    "imbalance",
    "layer_norms",
    "loss",
    "overlay",
    "quantity",
    "sharpness",
    "singular_values",
]
