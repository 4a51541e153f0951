"""Real measurements as the arrays of a problem.

The package ships no data. What a publisher offers is downloaded when it is first asked for, to the
user's cache, and checked; or it is read from a file that the user has.
"""

from .gas import GASES, gas_sensor

__all__ = ["GASES", "gas_sensor"]
