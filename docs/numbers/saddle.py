r"""
A saddle that is left by rounding alone
=======================================

The layers of a rank-one product :math:`W_2 W_1` have rank one. The gradient of layer 1 is
:math:`W_2^\top G`, so its columns stay in the span of the one column that :math:`W_2` is made of,
and in exact arithmetic gradient descent never leaves the matrices of rank one. It ends at the best
of them: a saddle. In floating point each step rounds, the rounding has components in the other
directions, and there they grow exponentially. The run leaves the saddle, at a time that rounding
decides, and finds the target.
"""

import matplotlib.pyplot as plt
import numpy as np

import pydlnet as dln

rng = np.random.default_rng(0)
target = dln.init.orthogonal((6, 6), rng=rng)[0] @ np.diag(
    [3.0, 2.0, 1.5, 1.0, 0.8, 0.5]
)
problem = dln.TargetMatrix(target)
rank_one = 0.1 * np.outer(rng.standard_normal(6), rng.standard_normal(6))
start = dln.init.balanced_from(rank_one, (6, 20, 6))
method = dln.GradientDescent(0.05)
record = dln.Record(["loss", "singular_values"], every=5)

# %%
# Four runs that are the same run on paper: in the coordinates that pydlnet picks, in those given,
# with the rows of the problem in another order, and cut to the rank of the start, where the other
# directions do not exist.

order = np.arange(6)[::-1]
reversed_problem = dln.TargetMatrix(target[order])
reversed_start = dln.init.balanced_from(rank_one[order], (6, 20, 6))
options = {"n_steps": 2_000, "record": record}
runs = {
    "default": dln.run(problem, start, method, **options),
    "coordinates as given": dln.run(
        problem, start, method, exact_compression=False, **options
    ),
    "rows reversed": dln.run(
        reversed_problem, reversed_start, method, exact_compression=False, **options
    ),
    "cut to rank one": dln.run(
        problem, start, method, exact_compression="rank", **options
    ),
}

figure, panels = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
for (name, run), color in zip(
    runs.items(), ("0.75", "#0072B2", "#D55E00", "#009E73"), strict=True
):
    # The first two nearly coincide.
    style = {"color": color, "linewidth": 5 if name == "default" else 1.5}
    panels[0].plot(run.data.step, run.data.loss, label=name, **style)
    second = np.maximum(run.data.singular_value.isel(mode=1), 1e-34)
    panels[1].plot(run.data.step, second, **style)
    near = run.data.step[(run.data.loss < 1e-3).values]
    print(f"{name:<22} below 1e-3 at step {near[0].item() if near.size else 'never'}")
panels[0].set(xlabel="step", ylabel="loss", yscale="log")
panels[0].legend()
panels[1].set(
    xlabel="step", ylabel="second singular value of W", yscale="log", ylim=(1e-34, 10)
)

# %%
# Up to the saddle all four agree to rounding. Afterwards the order of the rows alone, which changes
# nothing on paper, moves the escape by hundreds of steps; another instruction set
# (``PYDLNET_ISA``) moves it, too. None of these runs is more right than the others: the path
# through a saddle is a property of the arithmetic, not of the problem. On one machine each of them
# comes out with the same bits every time.
#
# Someone who wants to see the saddle itself asks for ``exact_compression="rank"``; someone who
# wants the escape to mean something starts off the saddle, by as much as they can defend.
