"""Whether the lines of a picture can be told apart, whoever looks and however it is printed."""

import itertools

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import pydlnet as dln

DATA = xr.Dataset({"loss": ("step", [1.0, 0.5])})

# Machado, Oliveira & Fernandes 2009, doi:10.1109/TVCG.2009.113: how linear RGB is seen without one
# kind of cone.
SEEN_WITHOUT = {
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab(linear):
    """CIELAB of linear sRGB."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt((np.asarray(to_xyz) @ linear) / [0.9505, 1.0, 1.089])
    return np.array([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)])


@pytest.mark.parametrize("kind", [None, *SEEN_WITHOUT])
def test_any_two_colours_of_lines_are_seen_as_different(kind):
    axes = Figure().add_subplot()
    for _ in range(7):
        dln.plot.loss(DATA, axes)
    colors = np.array([to_rgb(line.get_color()) for line in axes.lines])
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    seen = linear if kind is None else np.clip(linear @ np.transpose(SEEN_WITHOUT[kind]), 0.0, 1.0)
    points = [lab(color) for color in seen]
    distances = [np.linalg.norm(a - b) for a, b in itertools.combinations(points, 2)]
    assert min(distances) > 10.0  # 2.3 is just noticeable
    styles = {(line.get_color(), str(line.get_linestyle())) for line in axes.lines}
    assert len(styles) == 7
