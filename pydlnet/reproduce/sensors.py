"""The regression task of the papers: the user's gas sensor archive, or measurements made up."""

from dataclasses import dataclass, replace

import numpy as np

from .. import datasets
from .._validation import FloatArray, as_count, as_rng
from ..problems import Regression, whiten
from .report import Settings

__all__ = ["PREPARATIONS", "Measurements", "measurements", "synthetic_sensors"]

PREPARATIONS = ("raw", "standardised", "whitened")

N_SAMPLES, N_FEATURES = 2565, 128

# Of the ethanol measurements in batches 1 to 6, 8 and 9 of the archive: how often each
# concentration is there,
_CONCENTRATIONS = np.array(
    [10, 20, 25, 30, 40, 50, 75, 100, 125, 150, 175, 200, 225, 250, 275, 500, 600], dtype=np.float64
)
_COUNTS = np.array([163, 16, 48, 16, 16, 363, 46, 204, 46, 78, 46, 77, 47, 122, 12, 8, 8])
# some of the 128 eigenvalues of the correlations of the features, the largest first,
_PLACES = np.array([0, 1, 2, 3, 5, 8, 12, 20, 30, 40, 60, 80, 100, 127])
_EIGENVALUES = np.array(
    [
        69.2,
        18.9,
        12.8,
        7.83,
        2.73,
        1.42,
        5.82e-1,
        7.45e-2,
        2.03e-2,
        7.29e-3,
        1.52e-3,
        4.1e-4,
        8.8e-5,
    ]
)
_SMALLEST_EIGENVALUE = 6.65e-9
# which share of the outputs' variance the principal components up to there explain,
_EXPLAINED = np.array(
    [0.549, 0.549, 0.552, 0.591, 0.615, 0.643, 0.678, 0.766, 0.786, 0.809, 0.828, 0.854, 0.868]
)
_EXPLAINED_BY_ALL = 0.889
# and the standard deviations of the features in ascending order.
_SCALE_PLACES = np.array([0, 10, 32, 64, 96, 120, 127])
_SCALES = np.array([0.62, 1.6, 4.0, 10.5, 31.0, 1.3e4, 4.6e4])
_LARGEST_OFFSET = 2.8  # mean of a feature over its standard deviation


@dataclass(frozen=True, eq=False)
class Measurements:
    """Inputs and outputs of a regression, one sample a row, and where they come from.

    Attributes
    ----------
    inputs : ndarray of float64, shape (n_samples, 128)
    outputs : ndarray of float64, shape (n_samples, 1)
    used : str
        Which data this is.
    """

    inputs: FloatArray
    outputs: FloatArray
    used: str

    def problem(self, power: int, preparation: str = "standardised") -> Regression:
        """Return the mean of the p-th power of the residuals over p.

        "raw" divides all inputs by one number, and the outputs by their standard deviation;
        "standardised" centres every column and gives it variance 1; "whitened" also takes away the
        correlations of the inputs.
        """
        inputs, outputs = self.inputs, self.outputs / self.outputs.std()
        if preparation == "raw":
            return Regression(inputs / np.sqrt(np.mean(inputs**2)), outputs, power)
        inputs = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
        outputs = outputs - outputs.mean()
        if preparation == "whitened":
            inputs = inputs @ whiten(inputs, outputs).transform
        return Regression(inputs, outputs, power)

    def half(self, later: bool) -> "Measurements":
        """Return the earlier or the later half, in the order of the batches."""
        middle = len(self.inputs) // 2
        rows = slice(middle, None) if later else slice(middle)
        name = "later" if later else "earlier"
        return replace(
            self,
            inputs=self.inputs[rows],
            outputs=self.outputs[rows],
            used=f"{name} half of: {self.used}",
        )


def measurements(settings: Settings) -> Measurements:
    """Return the ethanol measurements of the archive in the settings, or synthetic ones."""
    if settings.data is not None:
        inputs, outputs = datasets.gas_sensor(settings.data)
        used = f"gas sensor archive {settings.data.name}, ethanol, {len(inputs):,} measurements"
        return Measurements(inputs, outputs, used)
    inputs, outputs = synthetic_sensors(settings.seed)
    used = f"synthetic measurements of the gas sensors' shape and conditioning, {len(inputs):,}"
    return Measurements(inputs, outputs, used)


def synthetic_sensors(
    rng: int | np.random.Generator | None = None, n_samples: int = N_SAMPLES
) -> tuple[FloatArray, FloatArray]:
    """Make up measurements like those of `datasets.gas_sensor` for ethanol.

    Parameters
    ----------
    rng : int, numpy.random.Generator or None
        Seed of everything random.
    n_samples : int, default 2565
        How many, at least 256; the default is the number in the full archive.

    Returns
    -------
    inputs : ndarray of float64, shape (n_samples, 128)
        Features whose scales span five orders of magnitude.
    outputs : ndarray of float64, shape (n_samples, 1)
        Concentrations drawn from those of the archive as often as they are there.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Notes
    -----
    The archive's correlations of the features (largest over smallest eigenvalue 1e10), what share
    of the outputs each principal component explains (89 % in all), concentrations, scales and
    offsets are kept; the directions of the principal components and what is left of the outputs are
    random. Nothing else about the sensors is in these numbers.
    """
    generator = as_rng(rng)
    n = as_count(n_samples, "n_samples", 2 * N_FEATURES)
    outputs = generator.choice(_CONCENTRATIONS, n, p=_COUNTS / _COUNTS.sum())
    centred = outputs - outputs.mean()
    components = _components(centred / np.linalg.norm(centred), generator)
    # All entries of a Hadamard matrix are of one size: every feature has the same variance.
    from scipy.linalg import hadamard

    signs = generator.choice([-1.0, 1.0], N_FEATURES)
    directions = hadamard(N_FEATURES)[generator.permutation(N_FEATURES)] * signs[:, None]
    places = np.arange(N_FEATURES)
    known = np.append(_EIGENVALUES, _SMALLEST_EIGENVALUE)
    eigenvalues = np.exp(np.interp(places, _PLACES, np.log(known)))
    features = components * np.sqrt(n * eigenvalues / eigenvalues.sum()) @ directions.T
    scales = np.exp(np.interp(places, _SCALE_PLACES, np.log(_SCALES)))
    offsets = generator.uniform(0.0, _LARGEST_OFFSET, N_FEATURES)
    return (features + offsets) * generator.permutation(scales), outputs[:, np.newaxis]


def _components(output: FloatArray, generator: np.random.Generator) -> FloatArray:
    """Return orthonormal centred columns (n, 128) whose products with a unit vector are given."""
    others = generator.standard_normal((output.size, N_FEATURES))
    fixed = np.column_stack([np.full(output.size, output.size**-0.5), output])
    others -= fixed @ (fixed.T @ others)
    basis = np.linalg.qr(others)[0]
    known = np.append(_EXPLAINED, _EXPLAINED_BY_ALL)
    explained = np.interp(np.arange(N_FEATURES), _PLACES, known)
    shares = np.diff(explained, prepend=0.0)
    wanted = np.sqrt(shares)
    total = explained[-1]
    # (basis M + output wanted^T) is orthonormal with M = (I - wanted wanted^T)^(1/2).
    root = np.eye(N_FEATURES) - (1.0 - np.sqrt(1.0 - total)) / total * np.outer(wanted, wanted)
    result: FloatArray = basis @ root + np.outer(output, wanted)
    return result
