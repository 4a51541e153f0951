"""What an input may end in."""

import resource
from collections.abc import Callable

# Of every call that is refused; and where what was asked for does not fit into memory.
PROMISED = (ValueError, TypeError, OSError, MemoryError)


def attempt(check: Callable[[bytes], None], data: bytes) -> None:
    """Try an input: a promised error with a message is as good as none.

    Parameters
    ----------
    check : callable
        Of a target.
    data : bytes
        What it is made of.
    """
    try:
        check(data)
    except PROMISED as error:
        if not str(error) and not isinstance(error, MemoryError):
            raise AssertionError("an error without a message") from error


def limit_memory(n_bytes: int) -> None:
    """Let allocations beyond this fail, as the system would rather end the process."""
    resource.setrlimit(resource.RLIMIT_AS, (n_bytes, n_bytes))
