"""The answers of what the other sections time, at small sizes."""

import pytest

from .cases import Case
from .sections import chains, completion, ensembles, recording, regression

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def _say_missing(missing):
    if missing:
        pytest.skip("; ".join(f"{name}: {why}" for name, why in missing.items()))


def test_regression():
    _say_missing(regression.contenders(regression.Samples(200, width=10))[1])


def test_completion():
    _say_missing(completion.contenders(completion.QUICK)[1])


def test_ensembles():
    _say_missing(ensembles.contenders(ensembles.Ensemble(5, members=3))[1])


def test_recorded_singular_values():
    recording.check_singular_values(Case(10))


def test_chains():
    if not chains.is_available():
        pytest.skip("dln.run has no exact_compression yet")
    chains.check_agreement(chains.QUICK)
