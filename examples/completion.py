"""Complete a matrix of rank 5 with a network of depth 3 that nobody told about rank."""

import pydlnet as dln

problem = dln.MatrixCompletion.synthetic((100, 100), rank=5, n_observed=2000, rng=0)
weights = dln.init.gaussian((100, 100, 100, 100), end_to_end_scale=1e-3, rng=1)
method = dln.GroupRMSprop(learning_rate=1e-2, epsilon=1e-4)
record = dln.Record(["loss", "reconstruction_error", "effective_rank", "singular_values"])
trajectory = dln.run(
    problem, weights, method, n_steps=20_000, record=record, stop=dln.Stop(loss=5e-7)
)
print(trajectory.data)
axes = dln.plot.singular_values(trajectory, modes=10, truth=problem.ground_truth)
axes.figure.savefig("completion.png")
