"""The theory of deep linear networks, computed: conditions, bounds, starts that fail.

Every function names the paper and the theorem it takes its formulas from, and raises ValueError
where they do not apply.
"""

from .certificates import Certificate, certificate
from .checks import check
from .failures import FailingStart, failure_without_balance, failure_without_margin
from .random_starts import (
    BalancedStartCertificate,
    balanced_probability,
    balanced_start_certificate,
)

__all__ = [
    "BalancedStartCertificate",
    "Certificate",
    "FailingStart",
    "balanced_probability",
    "balanced_start_certificate",
    "certificate",
    "check",
    "failure_without_balance",
    "failure_without_margin",
]
