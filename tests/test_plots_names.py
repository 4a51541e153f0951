"""Names of inputs and outputs in pictures."""

import numpy as np
import pandas as pd
import pytest

import pydlnet as dln

TARGET = pd.DataFrame(
    np.arange(6.0).reshape(2, 3), index=["price", "size"], columns=["age", "a $b$ $c", "x" * 40]
)
START = dln.init.balanced((3, 3, 2), scale=0.3, rng=0)
METHOD = dln.GradientDescent(0.05)


def run(quantities, target=TARGET, start=START):
    record = dln.Record(quantities, every=5)
    return dln.run(dln.TargetMatrix(target), start, METHOD, n_steps=10, record=record)


def texts(labels):
    return [label.get_text() for label in labels]


@pytest.mark.parametrize("quantities", ["end_to_end", "weights", "loss"])
def test_rows_and_columns_are_named(quantities):
    axes = dln.plot.end_to_end(run(quantities))
    shortest = "x" * 15 + "\u2026" + "x" * 8
    for panel in axes:
        assert texts(panel.get_xticklabels()) == ["age", "a $b$ $c", shortest]
        assert panel.get_xticks().tolist() == [0, 1, 2]
    assert texts(axes[0].get_yticklabels()) == ["price", "size"]
    assert texts(axes[1].get_yticklabels()) == ["", ""]
    axes[0].figure.canvas.draw()  # a dollar begins no formula


def test_frames_of_a_film_are_named():
    animation = dln.plot.animate_end_to_end(run("end_to_end"))
    panel = animation._fig.axes[0]
    assert texts(panel.get_yticklabels()) == ["price", "size"]
    animation._draw_was_started = True


def test_many_names_are_left_out():
    wide = pd.DataFrame(
        np.eye(2, 21), index=["price", "size"], columns=[f"x{i}" for i in range(21)]
    )
    start = dln.init.balanced((21, 3, 2), scale=0.3, rng=0)
    axes = dln.plot.end_to_end(run("end_to_end", wide, start))
    assert not any("x" in text for text in texts(axes[0].get_xticklabels()))
    assert texts(axes[0].get_yticklabels()) == ["price", "size"]


def test_times_are_written_as_dates():
    days = TARGET.set_axis(pd.date_range("2020-01-31", periods=3), axis="columns")
    axes = dln.plot.end_to_end(run("end_to_end", days))
    assert texts(axes[0].get_xticklabels()) == ["2020-01-31", "2020-02-01", "2020-02-02"]


def test_lines_over_inputs_are_named():
    def largest(weights):
        return np.abs(weights[0]).max(axis=0)

    largest.dims = ("input",)
    axes = dln.plot.quantity(run(largest), "largest")
    assert texts(axes.get_legend().get_texts())[:2] == ["input age", r"input a \$b\$ \$c"]
    axes.figure.canvas.draw()
