r"""
Bias towards low rank
=====================

A matrix of rank 3, of which a quarter of the entries is known, has infinitely many completions.
Gradient descent on a chain of layers, from a start near zero, finds one of low rank, though nothing
asks for it. Why: from balanced layers gradient flow moves the singular values of
:math:`W = W_N \cdots W_1` by [1]_

.. math::
   \frac{d \sigma_r}{d t} = -N \, \sigma_r^{2 - 2/N} \; u_r^\top \nabla\ell(W) \, v_r .

The factor :math:`\sigma_r^{2 - 2/N}` is 1 for one layer. From two layers on it holds small singular
values back and lets large ones run: the rich get richer, one after the other. The bias is not that
of a norm. With few observations enough depth finds matrices of *larger* nuclear norm than the
smallest possible, and closer to the truth.

.. [1] S. Arora, N. Cohen, W. Hu and Y. Luo, "Implicit regularization in deep matrix factorization",
   NeurIPS 2019, Theorem 3. https://arxiv.org/abs/1905.13655
"""

import matplotlib.pyplot as plt
import numpy as np

import pydlnet as dln

# %%
# One problem, three depths
# -------------------------
#
# As in the paper's code one adaptive learning rate for all layers, which rescales time and leaves
# the path alone; at a smaller size, so that this page builds in seconds, and from balanced starts
# near zero, as the formula has them (the code draws the layers from a Gaussian).

SIZE, RANK, OBSERVED = 60, 3, 900
problem = dln.MatrixCompletion.synthetic((SIZE, SIZE), RANK, OBSERVED, rng=0)
method = dln.GroupRMSprop(learning_rate=2e-3, epsilon=1e-4)
record = dln.Record(
    [
        "loss",
        "reconstruction_error",
        "singular_values",
        "singular_vectors",
        "alignment",
    ],
    every=25,
)
runs = {
    depth: dln.run(
        problem,
        dln.init.balanced([SIZE] * (depth + 1), scale=1e-4, rng=1),
        method,
        n_steps=20_000,
        record=record,
        stop=dln.Stop(loss=5e-7),
    )
    for depth in (1, 2, 3)
}

# %%
# The prediction beside the measurement
# -------------------------------------
#
# ``compare_singular_values`` moves the singular values of each record on to the next one by the
# formula above. Lines are measured, circles predicted from the record before, 25 steps earlier;
# dashed lines are the singular values of the matrix that is to be found. The first eight modes are
# drawn. There is no closed form of the whole curves: the gradient in the formula depends on all
# modes together.

figure, panels = plt.subplots(
    1, 3, figsize=(11, 3.8), layout="constrained", sharey=True
)
for (depth, trajectory), axes in zip(runs.items(), panels, strict=True):
    compared = dln.theory.compare_singular_values(trajectory)
    order = np.argsort(-compared.singular_value.values[-1])[:8]
    measured = compared.singular_value.isel(mode=order)
    predicted = compared.predicted_singular_value.isel(mode=order)
    error = float(np.abs(measured - predicted).max() / measured.max())
    print(
        f"depth {depth}: largest error of the prediction {error:.1e} of the largest mode"
    )
    dln.plot.singular_values(
        measured.to_dataset(name="singular_value"), ax=axes, truth=problem.ground_truth
    )
    thin = slice(1, None, max(1, measured.step.size // 25))
    axes.plot(
        predicted.step[thin],
        predicted[thin],
        "o",
        color="0.2",
        markersize=3,
        fillstyle="none",
    )
    axes.set(title=f"depth {depth}", ylabel="singular values" if depth == 1 else "")
    axes.locator_params(axis="x", nbins=5)
panels[0].plot([], [], color="0.2", label="measured")
panels[0].plot(
    [], [], "o", color="0.2", markersize=3, fillstyle="none", label="predicted"
)
panels[0].plot([], [], "--", color="0.4", linewidth=0.8, label="to be found")
panels[0].legend(loc="center left", bbox_to_anchor=(0.0, 0.44), fontsize="small")

# %%
# What came out
# -------------
#
# Beside the matrix of least nuclear norm among those that fit the same entries, found by
# :func:`pydlnet.baselines.minimum_nuclear_norm` with a proof of its optimum.

least = dln.baselines.minimum_nuclear_norm(problem, tolerance=1e-5)
truth = np.asarray(problem.ground_truth)
found = {
    **{
        f"depth {depth}": dln.chain.product(trajectory.weights)
        for depth, trajectory in runs.items()
    },
    "least nuclear norm": least.matrix,
    "the matrix itself": truth,
}
print(f"{'':<20}{'error':>10}{'effective rank':>16}{'nuclear norm':>14}")
for name, matrix in found.items():
    print(
        f"{name:<20}{dln.metrics.reconstruction_error(matrix, truth):>10.5f}"
        f"{dln.metrics.effective_rank(matrix):>16.2f}"
        f"{dln.metrics.nuclear_norm(matrix):>14.1f}"
    )

# %%
# The error is the mean square over all entries, those that nobody showed included; the entries have
# mean square 1. Three layers find the matrix, and it has not the least nuclear norm. Two layers end
# about as far off as the matrix that has: from this start small modes are not held back enough.
#
# What is not claimed: with fewer observations than the matrix has degrees of freedom no method can
# recover it, and from large starts the bias fades. ``pydlnet reproduce low-rank`` runs the paper's
# grid of depths, starts and numbers of observations.
