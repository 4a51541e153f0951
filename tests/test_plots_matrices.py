"""Pictures of the end-to-end matrix: which one, beside what, and as a film."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import pydlnet as dln

TARGET = np.random.default_rng(0).standard_normal((3, 4))


def run(names=("end_to_end",), problem=None, **kwargs):
    problem = dln.TargetMatrix(TARGET) if problem is None else problem
    start = dln.init.gaussian((4, 5, 3), end_to_end_scale=0.1, rng=1)
    options = {"n_steps": 40, "record": dln.Record(names, every=10), **kwargs}
    return dln.run(problem, start, dln.GradientDescent(0.05), **options)


def drawn(ax):
    return np.asarray(ax.images[0].get_array())


def test_the_last_matrix_beside_the_target():
    found = run()
    left, right = dln.plot.end_to_end(found)
    np.testing.assert_array_equal(drawn(left), found.data["end_to_end"].values[-1])
    np.testing.assert_array_equal(drawn(right), TARGET)
    assert (left.get_title(), right.get_title()) == ("end-to-end matrix at step 40", "target")
    assert (left.get_xlabel(), left.get_ylabel()) == ("input", "output")
    limits = {image.get_clim() for ax in (left, right) for image in ax.images}
    assert limits == {(-np.abs(TARGET).max(), np.abs(TARGET).max())}
    assert len(left.figure.axes) == 3  # with the colour bar


def test_a_recorded_step():
    found = run()
    left, _ = dln.plot.end_to_end(found, step=20)
    np.testing.assert_array_equal(drawn(left), found.data["end_to_end"].sel(step=20))
    with pytest.raises(ValueError, match="step: expected a recorded step, such as 10, got 13"):
        dln.plot.end_to_end(found, step=13)


def test_recorded_layers_are_multiplied():
    found = run(names=["weights", "end_to_end"])
    left, _ = dln.plot.end_to_end(found.data.drop_vars("end_to_end"), target=TARGET, step=20)
    np.testing.assert_allclose(drawn(left), found.data["end_to_end"].sel(step=20), rtol=1e-12)


def test_the_end_of_a_run_needs_no_record():
    found = run(names=["loss"])
    left, _ = dln.plot.end_to_end(found)
    np.testing.assert_array_equal(drawn(left), dln.chain.product(found.weights))
    assert left.get_title() == "end-to-end matrix in the end"
    with pytest.raises(ValueError, match="'end_to_end' was not recorded"):
        dln.plot.end_to_end(found, step=0)


def test_without_a_target_there_is_one_picture():
    problem = dln.MatrixSensing.synthetic((3, 4), rank=1, n_measurements=9, rng=0)
    known = dln.plot.end_to_end(run(problem=problem))
    np.testing.assert_array_equal(drawn(known[1]), problem.ground_truth)
    unknown = dln.plot.end_to_end(run(problem=problem).data)
    assert len(unknown) == 1
    limit = np.abs(drawn(unknown[0])).max()
    assert unknown[0].images[0].get_clim() == (-limit, limit)


def test_records_that_are_not_finite_are_passed_over(tmp_path):
    data = run().data
    data["end_to_end"][[1, -1]] = np.nan
    (ax,) = dln.plot.end_to_end(data)
    assert ax.get_title() == "end-to-end matrix at step 30"
    dln.plot.animate_end_to_end(data).save(tmp_path / "run.gif", writer="pillow")
    with Image.open(tmp_path / "run.gif") as image:
        assert image.n_frames == 3
    data["end_to_end"][:] = np.nan
    for draw in (dln.plot.end_to_end, dln.plot.animate_end_to_end):
        with pytest.raises(ValueError, match=r"expected a .*finite"):
            draw(data)


def test_a_diverged_run_can_be_drawn():
    start = [np.full((5, 4), 3.0), np.full((3, 5), 3.0)]
    record = dln.Record(["end_to_end"], every=1)
    method = dln.GradientDescent(10.0)
    found = dln.run(dln.TargetMatrix(TARGET), start, method, n_steps=40, record=record)
    assert found.status == "diverged"
    for known in (found, found.data):
        dln.plot.end_to_end(known)[0].figure.draw_without_rendering()


def test_given_axes_and_colours():
    axes = Figure().subplots(1, 2)
    assert dln.plot.end_to_end(run(), axes, cmap="RdBu", vmax=9.0) == tuple(axes)
    assert (axes[0].images[0].get_cmap().name, axes[1].images[0].get_clim()[1]) == ("RdBu", 9.0)
    for given, got in ((axes[0], "Axes"), (axes[:1], "1")):
        with pytest.raises(ValueError, match=f"axes: expected two axes, .*got {got}"):
            dln.plot.end_to_end(run(), given)


def test_a_target_of_another_shape():
    with pytest.raises(ValueError, match=r"target: expected shape \(3, 4\), got \(4, 3\)"):
        dln.plot.end_to_end(run(), target=TARGET.T)


def test_a_matrix_of_zeros():
    found = run(n_steps=0).data
    found["end_to_end"][:] = 0.0
    (left,) = dln.plot.end_to_end(found)
    left.figure.draw_without_rendering()
    assert left.images[0].get_clim() == (-1.0, 1.0)


def test_every_record_is_a_frame_of_the_film(tmp_path):
    found = run()
    film = dln.plot.animate_end_to_end(found)
    film.save(tmp_path / "run.gif", writer="pillow")
    with Image.open(tmp_path / "run.gif") as image:
        assert image.n_frames == 5
    left, right = film._fig.axes[:2]
    for frame, step in enumerate([0, 10, 20, 30, 40]):
        film._func(frame)
        np.testing.assert_array_equal(drawn(left), found.data["end_to_end"].sel(step=step))
        assert left.get_title() == f"end-to-end matrix at step {step}"
    np.testing.assert_array_equal(drawn(right), TARGET)
    limit = np.abs(TARGET).max()
    assert left.images[0].get_clim() == (-limit, limit)


def test_a_film_of_fewer_frames(tmp_path):
    film = dln.plot.animate_end_to_end(run(), n_frames=3, interval=20)
    film.save(tmp_path / "run.gif", writer="pillow")
    with Image.open(tmp_path / "run.gif") as image:
        assert image.n_frames == 3
    film._func(1)
    assert film._fig.axes[0].get_title() == "end-to-end matrix at step 20"


def test_a_film_of_a_flow_tells_the_time():
    start = dln.init.gaussian((4, 5, 3), end_to_end_scale=0.1, rng=1)
    record = dln.Record(["end_to_end"], times=[0.5, 1.0])
    found = dln.run(dln.TargetMatrix(TARGET), start, dln.GradientFlow(), until=1.0, record=record)
    left, _ = dln.plot.end_to_end(found)
    assert left.get_title() == "end-to-end matrix at time 1"


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [({"n_frames": 0}, "n_frames: expected an integer >= 1"), ({"interval": 0}, "interval: ")],
)
def test_arguments_of_films(kwargs, message):
    with pytest.raises(ValueError, match=message):
        dln.plot.animate_end_to_end(run(), **kwargs)
