"""The decision about data that is not clean: allowed by its hash, logged in mode `warn`, or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, TypeVar

from .._report import UnsafeFileError
from . import _config
from ._names import ANY_NAME

if TYPE_CHECKING:
    from .._native import Artifact
    from .._report import Report
    from ._names import Names

T = TypeVar("T")


def fail_closed(path: str, step: Callable[[], T]) -> T:
    """Runs `step`. An internal error becomes a refusal; an error of reading the file is raised as it is."""
    try:
        return step()
    except (UnsafeFileError, OSError, EOFError, MemoryError):
        raise
    except Exception as error:
        why = f"the guard failed: {type(error).__name__}: {error}"
        raise UnsafeFileError(path, rule="guard-failed", why=why) from error


def refuse_or_allow(artifact: Artifact, path: str, report: Report | None = None, why: str | None = None) -> Names:
    """Allows or refuses data that the scan did not find clean, or cannot judge for the reason `why`.

    Returns the names that the data may import. Raises `UnsafeFileError`.
    """
    config = _config.current()
    sha256 = artifact.sha256()
    if config is not None and sha256 in config.allow_sha256:
        _config.logger().info("%s is allowed by its hash %s", path, sha256)
        return ANY_NAME
    warn_or_raise(UnsafeFileError(path, report, verdict="unproven", rule="not-judged", why=why, sha256=sha256))
    return ANY_NAME


def warn_or_raise(error: UnsafeFileError) -> None:
    """Logs a refusal, and raises it except in mode `warn`."""
    config = _config.current()
    if config is not None and config.mode == "warn":
        _config.logger().warning("%s", error)
        return
    _config.logger().error("%s", error)
    raise error
