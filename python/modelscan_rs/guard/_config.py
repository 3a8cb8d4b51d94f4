"""The settings of the guard that is active in this process, and its logger."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import logging

    from ._lock import Lock


class Config(NamedTuple):
    """The settings of one `install`."""

    mode: str
    #: SHA-256 hashes of content that is loaded whatever the scan reports, in lowercase hex.
    allow_sha256: frozenset[str]
    #: Modules and `module.function` names that may unpickle data from their own pipes.
    trust: tuple[str, ...]
    lock: Lock | None = None


_config: Config | None = None


def current() -> Config | None:
    """The active settings, or None without a guard."""
    return _config


def set_current(config: Config | None) -> None:
    global _config  # noqa: PLW0603 - one guard per process
    _config = config


def logger() -> logging.Logger:
    """The logger of refusals and warnings, `modelscan_rs.guard`."""
    import logging

    return logging.getLogger("modelscan_rs.guard")
