"""Colours and line styles of all pictures, legible in print and with colour-blind eyes."""

from typing import Any

import numpy as np

__all__ = ["COLORS", "DIVERGING", "LINE_STYLES", "SEQUENTIAL", "shades", "styled"]

# Okabe & Ito's palette, distinguishable with all common colour deficiencies; yellow is left out
# because it is hard to see on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")

# Beside the colours, so that a print in grey can be read too. Five of them and seven colours: no
# pair comes twice among 35 lines.
LINE_STYLES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))

# Lightness alone tells their values apart: dark to light, and light in the middle.
SEQUENTIAL = "viridis"
DIVERGING = "PuOr"  # safe for colour-blind eyes according to its authors (ColorBrewer)


def shades(count: int) -> Any:
    """Return colours from dark to light, evenly, of which the last is still visible on white."""
    from matplotlib import colormaps

    return colormaps[SEQUENTIAL](np.linspace(0.0, 0.9, count))


def styled(defaults: dict[str, Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return keywords of a line, the user's before the defaults under any of their names."""
    from matplotlib import cbook
    from matplotlib.lines import Line2D

    return {**defaults, **cbook.normalize_kwargs(kwargs, Line2D)}
