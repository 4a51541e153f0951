"""The theory of deep linear networks, computed: exact solutions, bounds, velocities, certificates.

Layer j is ``weights[j - 1]``, of shape (d_j, d_{j-1}), as everywhere in the package. Flows are
dW_j/dt = -d phi / d W_j and, unless a function says otherwise, the loss is 1/2 ||W - target||_F^2,
that of `pydlnet.TargetMatrix`. Every function names the paper and the theorem it takes its formulas
from, and raises ValueError where they do not apply.
"""

from .acceleration import (
    lp_largest_rate,
    lp_speedup,
)
from .certificates import (
    Certificate,
    certificate,
)
from .checks import check
from .curl import (
    end_to_end_circulation,
    end_to_end_curl,
)
from .curvature import (
    balanced_hessian_spectrum,
    hessian_trace,
    smallest_hessian_trace,
    smallest_sharpness,
)
from .edge import (
    stability_limit,
    two_cycle,
    two_cycle_limit,
    two_cycle_multiplier,
)
from .end_to_end import (
    SingleOutputVelocity,
    end_to_end_velocity,
    preconditioner_spectrum,
    single_output_velocity,
)
from .end_to_end_comparison import compare_end_to_end
from .escape import (
    escape_time,
    plateau_time,
    staircase,
)
from .failures import (
    FailingStart,
    failure_without_balance,
    failure_without_margin,
)
from .identity_start import (
    eigenvalue_descent,
    identity_descent,
    identity_flow,
    identity_loss_floor,
)
from .infinite_depth import (
    infinite_depth_spectrum,
    infinite_depth_velocity,
)
from .low_rank import (
    SingularVelocities,
    singular_value_velocity,
    singular_velocities,
)
from .low_rank_comparison import compare_singular_values
from .modes import (
    mode_strength,
    mode_time,
)
from .momentum import (
    TwoLayerStep,
    momentum_coefficients,
    two_layer_step,
)
from .overlays import overlay
from .random_starts import (
    BalancedStartCertificate,
    balanced_probability,
    balanced_start_certificate,
)
from .riccati import (
    two_layer_flow,
    two_layer_gram,
)
from .subspace import (
    InvariantSubspace,
    invariant_subspace,
)

__all__ = [
    "BalancedStartCertificate",
    "Certificate",
    "FailingStart",
    "InvariantSubspace",
    "SingleOutputVelocity",
    "SingularVelocities",
    "TwoLayerStep",
    "balanced_hessian_spectrum",
    "balanced_probability",
    "balanced_start_certificate",
    "certificate",
    "check",
    "compare_end_to_end",
    "compare_singular_values",
    "eigenvalue_descent",
    "end_to_end_circulation",
    "end_to_end_curl",
    "end_to_end_velocity",
    "escape_time",
    "failure_without_balance",
    "failure_without_margin",
    "hessian_trace",
    "identity_descent",
    "identity_flow",
    "identity_loss_floor",
    "infinite_depth_spectrum",
    "infinite_depth_velocity",
    "invariant_subspace",
    "lp_largest_rate",
    "lp_speedup",
    "mode_strength",
    "mode_time",
    "momentum_coefficients",
    "overlay",
    "plateau_time",
    "preconditioner_spectrum",
    "single_output_velocity",
    "singular_value_velocity",
    "singular_velocities",
    "smallest_hessian_trace",
    "smallest_sharpness",
    "stability_limit",
    "staircase",
    "two_cycle",
    "two_cycle_limit",
    "two_cycle_multiplier",
    "two_layer_flow",
    "two_layer_gram",
    "two_layer_step",
]
