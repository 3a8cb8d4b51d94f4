"""The report of a scan as immutable values, and the exceptions."""

from __future__ import annotations

import json
from typing import Any, Callable, NamedTuple

_SEVERITY_RANK = {"critical": 4, "high": 3, "medium": 2, "low": 1, "info": 0}


class Finding(NamedTuple):
    """One match of a rule."""

    rule: str
    severity: str
    message: str
    #: The path inside the archive.
    member: str | None = None
    #: In bytes, within the member or the file.
    offset: int | None = None
    callable: str | None = None
    evidence: str | None = None
    help: str | None = None
    fingerprint: str = ""


class NotRead(NamedTuple):
    """Bytes that the scan did not read, and why."""

    reason: str
    member: str | None = None
    offset: int | None = None


class Artifact(NamedTuple):
    """The result for one file."""

    path: str
    format: str
    #: In bytes.
    size: int
    verdict: str
    findings: tuple[Finding, ...]
    not_read: tuple[NotRead, ...]
    sha256: str | None = None


class Report:
    """A report of a scan. Two reports are equal if their JSON is equal."""

    __slots__ = ("_artifacts", "_data", "_json")

    def __init__(self, text: str) -> None:
        self._json = text
        self._data: dict[str, Any] | None = None
        self._artifacts: tuple[Artifact, ...] | None = None

    def to_json(self) -> str:
        """The report of `modelscan scan --format json`."""
        return self._json

    def to_dict(self) -> dict[str, Any]:
        """A new dict of `to_json`."""
        data: dict[str, Any] = json.loads(self._json)
        return data

    def _parsed(self) -> dict[str, Any]:
        if self._data is None:
            self._data = self.to_dict()
        return self._data

    @property
    def verdict(self) -> str:
        """`clean`, `unproven`, `dangerous` or `not_scanned`, over all artifacts."""
        verdict: str = self._parsed()["verdict"]
        return verdict

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """One entry per file, sorted by path."""
        if self._artifacts is None:
            self._artifacts = tuple(_artifact(row) for row in self._parsed()["artifacts"])
        return self._artifacts

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings of all artifacts."""
        return tuple(finding for artifact in self.artifacts for finding in artifact.findings)

    @property
    def errors(self) -> tuple[tuple[str, str], ...]:
        """Paths that could not be scanned, and why."""
        return tuple((error["path"], error["message"]) for error in self._parsed()["errors"])

    @property
    def is_clean(self) -> bool:
        """Whether every byte was read and every callable is inert. The loader and the guard require it."""
        complete = not self.errors and all(not artifact.not_read for artifact in self.artifacts)
        return self.verdict == "clean" and complete

    @property
    def worst(self) -> Finding | None:
        """The first finding of the highest severity."""
        return max(self.findings, key=lambda finding: _SEVERITY_RANK.get(finding.severity, 5), default=None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Report) and self._json == other._json

    def __hash__(self) -> int:
        return hash(self._json)

    def __repr__(self) -> str:
        return f"<Report {self.verdict}: {len(self.artifacts)} artifacts, {len(self.findings)} findings>"


def _artifact(row: dict[str, Any]) -> Artifact:
    findings = tuple(_from_json(Finding, finding) for finding in row["findings"])
    not_read = tuple(_from_json(NotRead, gap) for gap in row["not_read"])
    artifact: Artifact = _from_json(Artifact, {**row, "findings": findings, "not_read": not_read})
    return artifact


def _from_json(kind: Any, row: dict[str, Any]) -> Any:
    return kind(**{name: row[name] for name in kind._fields if name in row})


class ModelscanError(Exception):
    """An operation failed. The text has the reason."""


class UnsafeFileError(ModelscanError):
    """A file was refused, because it is not clean or could not be judged. Nothing in it was executed.

    `verdict`, `rule`, `member` and `offset` are those of the worst finding. `report` has all findings. `sha256` is the
    hash of the refused bytes, for `allow_sha256`.
    """

    def __init__(
        self,
        path: str,
        report: Report | None = None,
        *,
        verdict: str = "not_scanned",
        rule: str | None = None,
        why: str | None = None,
        sha256: str | None = None,
    ) -> None:
        finding = report.worst if report is not None else None
        self.path = path
        self.report = report
        self.verdict = report.verdict if report is not None else verdict
        self.rule = finding.rule if finding is not None else rule
        self.member = finding.member if finding is not None else None
        self.offset = finding.offset if finding is not None else None
        self.sha256 = sha256
        super().__init__(self._text(finding, why))
        self._arguments = (path, report.to_json() if report is not None else None, verdict, rule, why, sha256)

    def __reduce__(self) -> tuple[Callable[..., UnsafeFileError], tuple[str | None, ...]]:
        # A worker process pickles the error for its parent. The default would pass the text alone to `__init__`.
        return _rebuild_error, self._arguments

    def _text(self, finding: Finding | None, why: str | None) -> str:
        text = f"{self.path} was not loaded: it is {self.verdict}"
        if finding is not None:
            place = f" in {finding.member}" if finding.member else ""
            place += f" at offset {finding.offset}" if finding.offset is not None else ""
            text += f"; {finding.rule}: {finding.message}{place}"
        elif self.report is not None:
            reason = next((gap.reason for artifact in self.report.artifacts for gap in artifact.not_read), None)
            text += f"; not read: {reason}" if reason else ""
        if why:
            text += f"; {why}"
        if self.sha256:
            text += (
                f". If you know and trust exactly this content: MODELSCAN_ALLOW_SHA256={self.sha256}"
                f' or guard.install(allow_sha256=["{self.sha256}"])'
            )
        return text


def _rebuild_error(
    path: str, report: str | None, verdict: str, rule: str | None, why: str | None, sha256: str | None
) -> UnsafeFileError:
    parsed = Report(report) if report is not None else None
    return UnsafeFileError(path, parsed, verdict=verdict, rule=rule, why=why, sha256=sha256)
