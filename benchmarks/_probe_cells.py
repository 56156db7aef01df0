"""Cells and rows of the benchmark's tables."""

from __future__ import annotations

from _rst import list_table

STELLAR = {"teff": "Teff [K]", "logg": "log g", "feh": "[Fe/H]"}
KINDS = ("GALAXY", "QSO", "STAR", "mean")
NAMES = {"desi-arms": "DESI", "desi": "DESI", "sdss": "SDSS", "apogee": "APOGEE", "galah": "GALAH"}


def pick(found, **wanted):
    """Records that have all these values."""
    return [r for r in found if all(r.get(k) == v for k, v in wanted.items())]


def cell(found, **wanted):
    """A value with its interval, or how many objects there are too few."""
    records = pick(found, **wanted)
    if not records:
        return ""
    r = records[0]
    if "value" not in r:
        return f"(n = {r['n']})"
    return f"{r['value']:.4g} ({r['low']:.3g} to {r['high']:.3g})"


def values(found, key):
    """Values of a key in the order of appearance."""
    return list(dict.fromkeys(str(r[key]) for r in found if key in r))


def table(title, rows):
    """A titled table without its empty rows."""
    return f"**{title}**\n\n" + list_table(rows)


def between(snr):
    """A range of signal to noise, in words."""
    low, high = snr
    if high >= 1e3:
        return "all" if low == 0 else f"above {low:g}"
    return f"below {high:g}" if low == 0 else f"{low:g} to {high:g}"


def plain(title):
    """A table of records that differ in all but their metric."""

    def make(found):
        rows = [("on", "of", "method", "metric", "n", "value")]
        for r in found:
            value = cell([r]) if "right" not in r else f"{r['right']} of {r['n']}"
            if "value" in r or "right" in r:
                rows.append(
                    (
                        NAMES.get(r["on"], r["on"]),
                        r.get("of", ""),
                        r["method"] + (f", {r['split']} objects" if "split" in r else ""),
                        r["metric"],
                        str(r["n"]),
                        value,
                    )
                )  # noqa: E501
        return table(title, rows)

    return make
