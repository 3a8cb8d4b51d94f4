"""What a scan says, as plain immutable values, and the exceptions that carry it."""
from __future__ import annotations

import json
from typing import Any, Dict, NamedTuple, Optional, Tuple

_WORSE = {"critical": 4, "high": 3, "medium": 2, "low": 1, "info": 0}


class Finding(NamedTuple):
    """A rule's opinion: what it is, where it stands, how bad it is."""

    rule: str
    severity: str
    message: str
    member: Optional[str] = None
    offset: Optional[int] = None
    callable: Optional[str] = None
    evidence: Optional[str] = None
    help: Optional[str] = None
    fingerprint: str = ""


class NotRead(NamedTuple):
    """Bytes that were not read, and why."""

    reason: str
    member: Optional[str] = None
    offset: Optional[int] = None


class Artifact(NamedTuple):
    """What was found in one file."""

    path: str
    format: str
    size: int
    verdict: str
    findings: Tuple[Finding, ...]
    not_read: Tuple[NotRead, ...]
    sha256: Optional[str] = None


def _of(kind: Any, row: Dict[str, Any]) -> Any:
    return kind(**{name: row[name] for name in kind._fields if name in row})


class Report:
    """A report of a scan. Two are equal when their JSON is."""

    __slots__ = ("_json", "_data", "_artifacts")

    def __init__(self, text: str) -> None:
        self._json = text
        self._data: Optional[Dict[str, Any]] = None
        self._artifacts: Optional[Tuple[Artifact, ...]] = None

    def to_json(self) -> str:
        """The report of `modelscan scan --format json`."""
        return self._json

    def to_dict(self) -> Dict[str, Any]:
        """As `to_json`, read."""
        return json.loads(self._json)

    def _read(self) -> Dict[str, Any]:
        if self._data is None:
            self._data = json.loads(self._json)
        return self._data

    @property
    def verdict(self) -> str:
        """`clean`, `unproven`, `dangerous` or `not_scanned`, over all artifacts."""
        return self._read()["verdict"]

    @property
    def artifacts(self) -> Tuple[Artifact, ...]:
        """One entry a file, sorted by path."""
        if self._artifacts is None:
            rows = []
            for row in self._read()["artifacts"]:
                findings = tuple(_of(Finding, finding) for finding in row["findings"])
                not_read = tuple(_of(NotRead, one) for one in row["not_read"])
                rows.append(_of(Artifact, {**row, "findings": findings, "not_read": not_read}))
            self._artifacts = tuple(rows)
        return self._artifacts

    @property
    def findings(self) -> Tuple[Finding, ...]:
        """The findings of all artifacts."""
        return tuple(finding for artifact in self.artifacts for finding in artifact.findings)

    @property
    def errors(self) -> Tuple[Tuple[str, str], ...]:
        """Paths that could not be looked at, and why."""
        return tuple((error["path"], error["message"]) for error in self._read()["errors"])

    @property
    def is_clean(self) -> bool:
        """Whether everything was read and every callable is known to be inert: what the loader and the guard demand."""
        whole = not self.errors and all(not artifact.not_read for artifact in self.artifacts)
        return self.verdict == "clean" and whole

    @property
    def worst(self) -> Optional[Finding]:
        """The finding to read first."""
        return max(self.findings, key=lambda finding: _WORSE.get(finding.severity, 5), default=None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Report) and self._json == other._json

    def __hash__(self) -> int:
        return hash(self._json)

    def __repr__(self) -> str:
        return f"<Report {self.verdict}: {len(self.artifacts)} artifacts, {len(self.findings)} findings>"


class ModelscanError(Exception):
    """Something could not be done: the text says what and why."""


class UnsafeFileError(ModelscanError):
    """What was to be loaded is not clean, or nobody could tell. Nothing of it was executed.

    `verdict`, `rule`, `member` and `offset` are those of the worst finding; `report` has all of them; `sha256` is that of the
    very bytes, by which they can be allowed.
    """

    def __init__(
        self, path: str, report: Optional[Report] = None, *, verdict: str = "not_scanned", rule: Optional[str] = None,
        why: Optional[str] = None, sha256: Optional[str] = None,
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
        self._made = (path, report.to_json() if report is not None else None, verdict, rule, why, sha256)

    def __reduce__(self) -> Tuple[Any, ...]:
        # It goes from a worker to the one who asked.
        return _again, self._made

    def _text(self, finding: Optional[Finding], why: Optional[str]) -> str:
        text = f"{self.path} was not loaded: it is {self.verdict}"
        if finding is not None:
            place = f" in {finding.member}" if finding.member else ""
            place += f" at offset {finding.offset}" if finding.offset is not None else ""
            text += f"; {finding.rule}: {finding.message}{place}"
        elif self.report is not None:
            unread = next((one.reason for artifact in self.report.artifacts for one in artifact.not_read), None)
            text += f"; not read: {unread}" if unread else ""
        if why:
            text += f"; {why}"
        if self.sha256:
            text += (
                f". If you know these very bytes and trust them: MODELSCAN_ALLOW_SHA256={self.sha256}"
                f" or guard.install(allow_sha256=[\"{self.sha256}\"])"
            )
        return text


def _again(
    path: str, report: Optional[str], verdict: str, rule: Optional[str], why: Optional[str], sha256: Optional[str],
) -> UnsafeFileError:
    made = Report(report) if report is not None else None
    return UnsafeFileError(path, made, verdict=verdict, rule=rule, why=why, sha256=sha256)
