r"""
Depth as acceleration
=====================

A chain of :math:`N` layers computes what its product :math:`W = W_N \cdots W_1` computes; depth
adds no expressiveness. But descent on the layers moves :math:`W` differently. From balanced layers,
:math:`W_{j+1}^\top W_{j+1} = W_j W_j^\top`, the product follows the *end-to-end rule*

.. math::
   \frac{d W}{d t} = -\sum_{j=1}^{N} [W W^\top]^{(j-1)/N} \; \nabla\ell(W) \; [W^\top W]^{(N-j)/N},

up to first order in the learning rate [1]_: larger steps along directions that :math:`W` already
has, an adaptive rate and a momentum, from three layers on of a kind that no regulariser of
:math:`\ell` yields (:func:`pydlnet.theory.end_to_end_curl`). Whether that helps depends on the
loss. Take :math:`\ell(w) = \frac{1}{p} \sum_i |w_i - y_i|^p` with :math:`y_1 \gg y_2 > 0`. For
:math:`p > 2` the large residual of the start limits the rate of plain descent long after it has
gone; behind depth the rate grows with :math:`w_1`, when :math:`w_2` needs it. Each depth at its
largest rate, the number of steps falls by

.. math::
   R(N, p) = \frac{(p - 2/N)^{p - 2/N}}{N \, (2 - 2/N)^{2 - 2/N} \, (p - 2)^{p - 2}},

which is 27/8 for two layers and :math:`p = 4`, and :math:`1/N`, a loss, for :math:`p = 2`.

.. [1] S. Arora, N. Cohen and E. Hazan, "On the optimization of deep networks: implicit acceleration
   by overparameterization", ICML 2018. https://arxiv.org/abs/1802.06509
"""

import matplotlib.pyplot as plt
import numpy as np

import pydlnet as dln

# %%
# The network follows the rule
# ----------------------------
#
# Three layers descend on :math:`\frac{1}{2}\|W - \Phi\|^2`, and beside them one matrix under
# :class:`pydlnet.EndToEndDescent` from the same product. ``compare_end_to_end`` runs the second and
# says how far apart they are: the gap falls with the learning rate, as it should if the rule is the
# limit of small rates.

problem = dln.TargetMatrix(np.diag([3.0, 2.0, 1.0]))
start = dln.init.balanced((3, 3, 3, 3), scale=0.1, rng=0)
figure, axes = plt.subplots(figsize=(6, 3.8), layout="constrained")
for rate, color in ((0.02, "#0072B2"), (0.002, "#D55E00")):
    steps = round(10 / rate)
    record = dln.Record(["loss", "end_to_end"], every=steps // 200)
    trajectory = dln.run(
        problem, start, dln.GradientDescent(rate), n_steps=steps, record=record
    )
    compared = dln.theory.compare_end_to_end(trajectory)
    gap = float(compared.end_to_end_gap.max())
    print(f"learning rate {rate}: largest gap {gap:.1e} of the norm of W")
    axes.plot(compared.time, compared.loss, color=color, label=f"3 layers, rate {rate}")
    axes.plot(
        compared.time[::10],
        compared.rule_loss[::10],
        "o",
        color=color,
        fillstyle="none",
    )
axes.plot([], [], "o", color="0.3", fillstyle="none", label="the end-to-end rule")
axes.set(yscale="log", xlabel="time (step times learning rate)", ylabel="loss")
axes.legend()

# %%
# Where depth pays, and where it does not
# ---------------------------------------
#
# Two points, :math:`y = (1, 0.02)`, hidden width 1, from :math:`w = (0.01, 0.006)`, balanced. Each
# depth runs at a tenth of the largest rate that keeps its large residual stable
# (:func:`pydlnet.theory.lp_largest_rate`). The ratio does not depend on that share as long as it is
# the same, and small enough that no depth gets there in a leap.

DEPTHS = (1, 2, 3)
product = np.array([[0.01, 0.006]])
figure, panels = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained", sharey=True)
for power, axes in zip((2, 4), panels, strict=True):
    problem = dln.Regression(np.eye(2), [1.0, 0.02], power=power, reduction="sum")
    taken = {}
    for depth, color in zip(DEPTHS, ("#000000", "#0072B2", "#D55E00"), strict=True):
        trajectory = dln.run(
            problem,
            dln.init.balanced_from(product, (2, *[1] * depth)),
            dln.GradientDescent(0.1 * dln.theory.lp_largest_rate(depth, power)),
            n_steps=4_000_000,
            stop=dln.Stop(loss=1e-12),
        )
        taken[depth] = trajectory.step
        axes.plot(
            trajectory.data.step,
            trajectory.data.loss,
            color=color,
            label=f"depth {depth}",
        )
        measured = taken[1] / taken[depth]
        predicted = dln.theory.lp_speedup(depth, power)
        axes.axvline(taken[1] / predicted, color=color, linestyle=":", linewidth=1)
        print(
            f"p = {power}, depth {depth}: {trajectory.step:>7,} steps, "
            f"gain {measured:.2f}, predicted {predicted:.2f}"
        )
    axes.set(
        xscale="log", yscale="log", xlabel="step", title=f"p = {power}", ylim=(1e-13, 2)
    )
    axes.set_xlim(left=1)
panels[0].set_ylabel("loss")
panels[0].plot([], [], ":", color="0.3", linewidth=1, label="predicted from depth 1")
panels[0].legend()

# %%
# Dotted lines: where each depth should reach :math:`10^{-12}`, given what depth 1 took. For
# :math:`p = 2` depth costs a factor of about :math:`N`, and the way out of the small start a little
# more. For :math:`p = 4` it gains more than :math:`R`, which counts the small residual alone. The
# large one still makes a part of the loss, and behind depth it shrinks :math:`N` times as fast:
# both together give :math:`R \sqrt{2 / (1 + N^{-2})}`, that is 4.27 and 4.22.
#
# What is not claimed: depth is no cure for a badly chosen rate, and "at the largest rate" is part
# of the statement. :func:`pydlnet.tune` finds the best rate for any problem, and
# ``pydlnet reproduce acceleration`` runs the paper's regression on gas sensors.
