"""
Completing a matrix that nobody said was of low rank
====================================================

A matrix of rank 5, of which a fifth of the entries is known, and a network of depth 3 that is told
nothing about rank. The singular values rise one after the other, the rank stays low, and the
entries that nobody showed come out right: see :doc:`/gallery/results/low_rank`.
"""

import pydlnet as dln

problem = dln.MatrixCompletion.synthetic((100, 100), rank=5, n_observed=2000, rng=0)
weights = dln.init.gaussian((100, 100, 100, 100), end_to_end_scale=1e-3, rng=1)
method = dln.GroupRMSprop(learning_rate=0.01, epsilon=1e-4)
measured = ["reconstruction_error", "effective_rank"]
record = dln.Record([*measured, "singular_values"], every=50)
stop = dln.Stop(loss=5e-7)
trajectory = dln.run(problem, weights, method, n_steps=20_000, record=record, stop=stop)
print(trajectory.data[measured].isel(step=[0, 20, 40, 60, -1]).to_pandas())
axes = dln.plot.singular_values(trajectory, modes=10, truth=problem.ground_truth)
axes.figure.savefig("completion.png")
