"""Experiment files of the command line, for tests to change."""

BASIC = """
[problem]
kind = "TargetMatrix"
target = [[1.0, 0.0], [0.0, 0.5]]

[start]
kind = "identity"
depth = 2
hidden_width = 3
scale = 0.1

[method]
kind = "GradientDescent"
learning_rate = 0.1

[record]
quantities = ["loss", "singular_values"]

[stop]
loss = 1e-6

[run]
n_steps = 1000
"""


def problem(keys, data='data = "data.npz"\n', widths=(3, 2)):
    """Return an experiment of depth 1 on a problem made of data."""
    return f"""{data}
[problem]
{keys}
[start]
kind = "identity"
widths = {list(widths)}
[method]
kind = "GradientDescent"
learning_rate = 0.1
[run]
n_steps = 3
"""
