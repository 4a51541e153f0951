"""
Completing a photograph
=======================

A photograph from two fifths of its pixels, at depth 1, 2 and 3:
``python examples/photograph.py [PICTURE]``.

Nothing but depth differs. A matrix of its own (depth 1) learns the pixels that it sees and nothing
of the others. Two or three layers learn the large modes of the picture first, and with them the
pixels that nobody showed. Depth 3 ends with the lower rank; but a photograph is only nearly of low
rank, and depth 2 comes closer to it. Writes photograph.png; the default picture is the portrait of
Grace Hopper that comes with matplotlib.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cbook import get_sample_data

import pydlnet as dln

DEPTHS = (1, 2, 3)
COLORS = ("#D55E00", "#0072B2", "#009E73")

path = sys.argv[1] if len(sys.argv) > 1 else get_sample_data("grace_hopper.jpg", asfileobj=False)
problem = dln.datasets.image(path, fraction=0.4, rng=0, size=200)
height, width = problem.shape
record = dln.Record(["held_out_error", "effective_rank"], every=50)
trajectories = {}
for depth in DEPTHS:
    widths = [width, *[min(height, width)] * (depth - 1), height]
    start = dln.init.gaussian(widths, end_to_end_scale=1e-3, rng=1)
    trajectories[depth] = dln.run(
        problem,
        start,
        dln.GroupRMSprop(learning_rate=0.01),
        n_steps=20_000,
        record=record,
        stop=dln.Stop(loss=5e-4),  # the pixels that are seen are then met to about 0.03
    )

# Brightness is between 0 and 1, which the networks do not know.
pictures = {depth: dln.chain.product(end.weights) for depth, end in trajectories.items()}
pictures = {depth: np.clip(picture, 0.0, 1.0) for depth, picture in pictures.items()}
original = problem.ground_truth
seen = np.full(problem.shape, np.nan)
seen[problem.rows, problem.columns] = problem.values

figure, axes = plt.subplots(2, 5, figsize=(12, 5.8), layout="constrained")
for axis in axes.flat:
    axis.set(xticks=[], yticks=[])
grey = plt.get_cmap("gray").with_extremes(bad="#8fb8de")
for axis, picture, title in (
    (axes[0, 0], original, f"original, {height} by {width}"),
    (axes[0, 1], seen, f"seen: {problem.n_samples / original.size:.0%}"),
    *((axes[0, 1 + depth], pictures[depth], f"recovered at depth {depth}") for depth in DEPTHS),
):
    axis.imshow(picture, cmap=grey, vmin=0.0, vmax=1.0)
    axis.set_title(title)

for depth in DEPTHS:
    axis = axes[1, 1 + depth]
    shown = axis.imshow(abs(pictures[depth] - original), cmap="magma", vmin=0.0, vmax=0.5)
    data = trajectories[depth].data.isel(step=-1)
    error, rank = np.sqrt(float(data["held_out_error"])), float(data["effective_rank"])
    axis.set_title(f"effective rank {rank:.0f}", fontsize="medium")
    print(f"depth {depth}: root mean square error of unseen pixels {error:.3f}, ", end="")
    print(f"effective rank {rank:.1f}, {int(data['step']):,} steps, {trajectories[depth].status}")
figure.colorbar(shown, ax=axes[1, 2:], label="absolute error", shrink=0.9, extend="max")

grid = axes[1, 0].get_gridspec()
for axis in axes[1, :2]:
    axis.remove()
curves = figure.add_subplot(grid[1, :2])
for depth, color in zip(DEPTHS, COLORS, strict=True):
    data = trajectories[depth].data
    curves.plot(data["step"], np.sqrt(data["held_out_error"]), color=color, label=f"depth {depth}")
curves.set(xlabel="step", ylabel="root mean square error, unseen pixels", ylim=(0.0, None))
curves.margins(x=0.0)
curves.legend()
figure.savefig("photograph.png", dpi=120)
