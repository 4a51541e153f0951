"""EndToEndLoss: what a loss of the user's is given, may return and may raise."""

import numpy as np
import pytest

import pydlnet as dln


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_user_loss_gets_arrays_it_may_keep_and_change(dtype):
    seen = []

    def loss(matrix):
        seen.append(matrix)
        result = float(np.sum(matrix**2)), 2 * matrix
        seen[-1] = matrix.copy()
        matrix[:] = np.nan
        return result

    problem = dln.EndToEndLoss(loss, (2, 3))
    weights = [np.ones((2, 3), dtype)]
    value, gradients = dln.chain.value_and_gradients(weights, problem)
    assert value == 6.0
    np.testing.assert_array_equal(gradients[0], 2.0)
    assert seen[0].dtype == dtype
    assert seen[0].flags.c_contiguous


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (lambda w: 1.0, (TypeError, ValueError)),
        (lambda w: (1.0, w[:1]), ValueError),
        (lambda w: (1.0, w.T), ValueError),
        (lambda w: (np.ones(2), w), (TypeError, ValueError)),
        (lambda w: (1.0, "gradient"), (TypeError, ValueError)),
        (lambda w: (1.0, w.astype(complex)), (TypeError, ValueError)),
        (lambda w: None, (TypeError, ValueError)),
    ],
)
def test_user_loss_with_a_wrong_result(result, error):
    problem = dln.EndToEndLoss(result, (2, 3))
    with pytest.raises(error):
        problem.value_and_gradient(np.ones((2, 3)))


def test_user_loss_raising_comes_through():
    def loss(matrix):
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        dln.EndToEndLoss(loss, (2, 3)).value_and_gradient(np.ones((2, 3)))


@pytest.mark.parametrize(
    ("dtype", "entry"), [(np.float64, np.nan), (np.float64, np.inf), (np.float32, 1e300)]
)
def test_user_loss_with_a_gradient_that_is_not_finite(dtype, entry):
    """The run ends before the step that would make the weights infinite or NaN."""

    def loss(matrix):
        return 1.0, np.where(np.eye(2) > 0, entry, 0.0) if matrix[0, 0] < 0.5 else np.ones((2, 2))

    weights = [np.ones((2, 2), dtype)]
    problem = dln.EndToEndLoss(loss, (2, 2))
    trajectory = dln.run(problem, weights, dln.GradientDescent(0.2), n_steps=9)
    assert (trajectory.status, trajectory.step) == ("diverged", 3)
    np.testing.assert_allclose(trajectory.weights[0], 0.4, rtol=1e-6)
    assert np.isnan(trajectory.data["loss"][-1])
