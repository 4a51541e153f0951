r"""
Convergence with a guarantee
============================

For :math:`\ell(W) = \frac{1}{2} \|W - \Phi\|_F^2`, regression on whitened data, gradient descent on
:math:`N` layers provably reaches the minimum at a linear rate [1]_ if the start

* is *balanced*: :math:`\|W_{j+1}^\top W_{j+1} - W_j W_j^\top\|_F \le \delta` for all :math:`j`,
  with :math:`\delta = c^2 / (256 N^3 \|\Phi\|_F^{2 - 2/N})`;
* has a *deficiency margin* :math:`c > 0`:
  :math:`\|W - \Phi\|_F \le \sigma_{\min}(\Phi) - c`, closer to the target than any rank-deficient
  matrix is;

and the learning rate is :math:`\eta \le c^{4 - 2/N} / (6144 N^3 \|\Phi\|_F^{6 - 4/N})`. Then each
step shrinks the loss at least by the factor :math:`1 - \eta c^{2 - 2/N}`, and no singular value of
:math:`W` ever falls below :math:`c`. Both conditions are needed: without either of them there are
starts from which descent fails. The constants are those of a proof, not of practice.

.. [1] S. Arora, N. Cohen, N. Golowich and W. Hu, "A convergence analysis of gradient descent for
   deep linear neural networks", ICLR 2019. https://arxiv.org/abs/1810.02281
"""

import matplotlib.pyplot as plt
import numpy as np

import pydlnet as dln

# %%
# A certificate before the run
# ----------------------------

target = np.diag([1.0, 0.9, 0.8])
problem = dln.TargetMatrix(target)
direction = np.random.default_rng(0).standard_normal((3, 3))
product = target + 0.25 * 0.8 * direction / np.linalg.norm(direction)
start = dln.init.balanced_from(product, (3, 3, 3, 3))

found = dln.theory.certificate(start, problem)
print(found)
rate = found.learning_rate_allowed
print(f"\nsteps to 1e-5 of the loss: {found.steps(rate, 1e-5 * found.excess_loss):,}")

# %%
# The bounds beside the run
# -------------------------
#
# Half a million steps at the rate that the theorem admits, and every bound of the theorem looked at
# in every record.

record = dln.Record(
    ["loss", "imbalance", "singular_values", "layer_singular_values"], every=5_000
)
trajectory = dln.run(
    problem, start, dln.GradientDescent(rate), n_steps=500_000, record=record
)
checked = dln.theory.check(trajectory)
held = {
    name: checked[name].values for name in checked.data_vars if name.endswith("_held")
}
for name, values in held.items():
    print(
        f"{name.removesuffix('_held'):<24} held in {values.sum()} of {values.size} records"
    )

figure, panels = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
panels[0].plot(checked.step, trajectory.data.loss, color="#0072B2", label="measured")
panels[0].plot(checked.step, checked.loss_bound, "--", color="#D55E00", label="bound")
panels[0].set(xlabel="step", ylabel="loss", title="the loss and its bound")
panels[0].locator_params(axis="x", nbins=5)
panels[0].legend()
smallest = trajectory.data.singular_value.isel(mode=-1)
panels[1].plot(
    checked.step, smallest, color="#0072B2", label=r"measured $\sigma_{\min}(W)$"
)
panels[1].axhline(
    found.deficiency_margin,
    linestyle="--",
    color="#D55E00",
    label="bound: the margin c",
)
panels[1].set(xlabel="step", title="the smallest singular value", ylim=(0, 1))
panels[1].locator_params(axis="x", nbins=5)
panels[1].legend()

# %%
# All of them in one picture: how far the measurement is on the right side of each bound. The margin
# of the loss since the last record is small because the admitted steps are.

figure, axes = plt.subplots(figsize=(6.5, 4.4), layout="constrained")
dln.plot.check(checked, axes)

# %%
# How far the constants are from sharp
# ------------------------------------
#
# The same start over a grid of practical rates: :func:`pydlnet.tune` counts the steps to the same
# accuracy.

practical = dln.tune(
    problem,
    start,
    dln.GradientDescent(0.1),
    np.geomspace(1e-2, 2.0, 12),
    1e-5 * found.excess_loss,
    n_steps=10_000,
)
print(practical)
print(f"the rate is {practical.best_learning_rate / rate:.0e} times the admitted one")

# %%
# Without a margin
# ----------------
#
# Layers that start at the identity stay equal and symmetric, so an even number of them never
# reaches the negative eigenvalue of a symmetric target: the loss stays above half its square,
# whatever the rate. The certificate says which condition fails.

failing = dln.theory.failure_without_margin(np.diag([1.0, -0.5]), depth=4)
problem = failing.problem
print(dln.theory.certificate(failing.weights, problem))
stuck = dln.run(problem, failing.weights, dln.GradientDescent(0.05), n_steps=2_000)
figure, axes = plt.subplots(figsize=(6, 3.8), layout="constrained")
dln.plot.loss(stuck, ax=axes, label="measured")
axes.axhline(failing.loss_floor, linestyle="--", color="#D55E00", label="proven floor")
axes.legend()

# %%
# What is not claimed: nothing is said about starts that fail the conditions. Most of them converge
# too, only not provably so, and a random start close to zero has no margin
# (:func:`pydlnet.theory.balanced_start_certificate` is the theorem for those with a single output).
# ``pydlnet reproduce convergence`` runs the paper's experiments.
