"""Real measurements, ratings and pictures, as problems or as the arrays of one.

The package ships no data. What a publisher offers is downloaded when it is first asked for, to the
user's cache, and checked; or it is read from a file that the user has.
"""

from .gas import GASES, gas_sensor
from .movielens import movielens_1m, movielens_100k
from .pictures import image
from .rated import Ratings
from .rating_tables import ratings

__all__ = ["GASES", "Ratings", "gas_sensor", "image", "movielens_1m", "movielens_100k", "ratings"]
