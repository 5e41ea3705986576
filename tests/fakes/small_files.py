"""A disk that refuses to take more, without a disk of its own and without root."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Let the kernel refuse this process any write beyond ``size`` bytes of a file (``RLIMIT_FSIZE``).

    As on a full disk, ``write`` fails, in Python and in DuckDB's threads alike; it is ``EFBIG`` instead of ``ENOSPC``.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
