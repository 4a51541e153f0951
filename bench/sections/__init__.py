"""The parts of the report, each in a module with a function `measure(plan) -> str`.

Every one runs in a process of its own, so that it can have its own threads and environment and
leaves nothing behind for the next.
"""

from dataclasses import dataclass, field

__all__ = ["SECTIONS", "Section"]


@dataclass(frozen=True)
class Section:
    """One part of the report."""

    name: str  # for --only, and the module here
    title: str
    threads: int = 1
    environment: dict[str, str] = field(default_factory=dict)


SECTIONS = (
    Section("networks", "Single networks"),
    Section(
        "openblas",
        "Single networks, OpenBLAS forced to AVX-512",
        environment={"OPENBLAS_CORETYPE": "SKYLAKEX"},
    ),
    Section("growth", "Growth with width and depth"),
    Section("threads", "One network on two threads", threads=2),
    Section("regression", "Regression on samples"),
    Section("completion", "Matrix completion"),
    Section("chains", "Structured targets: exact compression"),
    Section("recording", "Recording"),
    Section("ensembles", "Ensembles", threads=2),
    Section("sweeps", "Sweeps", threads=2),
)
