"""What became of a bulk run: rows by status, reasons, speed, and what is left to do."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from pathlib import Path

from spectok.bulk._folder import read_failures, read_manifest, read_tally, targets_of
from spectok.bulk._partial import unfinished

__all__ = ["BulkReport", "report_of", "status"]

_SHOWN = 5


@dataclasses.dataclass
class BulkReport:
    """Counts of a bulk run, and the reasons of what failed.

    Parameters
    ----------
    output : `pathlib.Path`
        The folder.
    files, files_done : int
        Files that make it, and those that are there and whole.
    rows, ok, no_valid_token, errors : int
        Spectra in them, and how many have each status.
    reasons : dict of str to int
        Why spectra could not be used, the most frequent reasons first.
    failed : dict of str to str
        Files that could not be made, and why; they are tried again by the next call.
    seconds : float
        Spent on all files, summed over workers.
    flux_units : list of str
        Of the fluxes that came in.
    unfinished : dict of str to str
        Partial files, which are no part of the result, and who writes them. Those of processes
        that are gone are removed by the next call.

    Examples
    --------
    >>> from spectok.bulk import BulkReport
    >>> BulkReport("out", files=2, files_done=1, rows=10, ok=9, errors=1, seconds=5.0).speed
    2.0
    """

    output: Path | str
    files: int = 0
    files_done: int = 0
    rows: int = 0
    ok: int = 0
    no_valid_token: int = 0
    errors: int = 0
    reasons: dict[str, int] = dataclasses.field(default_factory=dict)
    failed: dict[str, str] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    flux_units: list[str] = dataclasses.field(default_factory=list)
    unfinished: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether all files are there."""
        return self.files_done == self.files

    @property
    def speed(self) -> float:
        """Spectra per second of one worker."""
        return self.rows / self.seconds if self.seconds > 0 else 0.0

    def __str__(self) -> str:
        lines = [
            f"{self.output}: {self.files_done:,} of {self.files:,} files, {self.rows:,} spectra",
            f"  files to do          {self.files - self.files_done:,}",
            f"  with tokens          {self.ok:,}",
            f"  no valid token       {self.no_valid_token:,}",
            f"  errors               {self.errors:,}",
            f"  spectra/s, a worker  {self.speed:.1f}",
        ]
        lines += [f"    {count:,} x {why}" for why, count in list(self.reasons.items())[:_SHOWN]]
        if len(self.reasons) > _SHOWN:
            lines.append(f"    and {len(self.reasons) - _SHOWN} more reasons: report.reasons")
        lines += [f"  failed: {name}: {why}" for name, why in list(self.failed.items())[:_SHOWN]]
        if len(self.failed) > _SHOWN:
            lines.append(f"  and {len(self.failed) - _SHOWN} more failed files: report.failed")
        lines += [f"  unfinished: {k}: {why}" for k, why in list(self.unfinished.items())[:_SHOWN]]
        if len(self.unfinished) > _SHOWN:
            more = len(self.unfinished) - _SHOWN
            lines.append(f"  and {more} more unfinished files: report.unfinished")
        return "\n".join(lines)


def status(output: str | os.PathLike) -> BulkReport:
    """Say how far a bulk run is, from its output alone.

    Parameters
    ----------
    output : path
        The folder that `encode` writes, while it runs or after.

    Returns
    -------
    report : `BulkReport`
        Of the files that are there now.

    Raises
    ------
    FileNotFoundError
        Where no run has begun there.

    Examples
    --------
    >>> import spectok.bulk
    >>> print(spectok.bulk.status("tokens-of-dr1"))  # doctest: +SKIP
    """
    folder = Path(output)
    manifest = read_manifest(folder)
    if manifest is None:
        raise FileNotFoundError(f"{folder}: no bulk run has begun here")
    return report_of(folder, manifest["n_pieces"])


def report_of(folder: Path, n_pieces: int) -> BulkReport:
    """The report of the files that are there now."""
    report = BulkReport(folder, files=n_pieces)
    reasons: Counter[str] = Counter()
    units: set[str] = set()
    for file in targets_of(folder):
        tally = read_tally(file)
        if tally is None:
            continue
        report.files_done += 1
        report.rows += tally["rows"]
        report.ok += tally["ok"]
        report.no_valid_token += tally["no valid token"]
        report.errors += tally["errors"]
        report.seconds += tally["seconds"]
        reasons.update(tally["reasons"])
        units.update(tally["flux_units"])
    report.reasons = dict(reasons.most_common())
    report.flux_units = sorted(units)
    report.failed = read_failures(folder)
    report.unfinished = {
        name: said + ("; the next call removes it" if abandoned else "")
        for name, (said, abandoned) in unfinished(folder).items()
    }
    return report
