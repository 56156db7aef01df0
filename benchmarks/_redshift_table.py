"""The tables of ``benchmarks/redshift.py`` for the documentation."""

from __future__ import annotations

from _rst import list_table

__all__ = ["table"]

COMMAND = """\
    python benchmarks/redshift.py --data DIR --data2 DIR2 --templates templates.safetensors \\
        --out docs/redshift.json --rst docs/redshift_table.rst"""
HEAD = (
    "survey", "class", "S/N per pixel", "method", "n", "scaled MAD of Δz / (1 + z)", "bias",
    "outliers beyond 1,000 km/s", "within the stated σ", "mean confidence, share right",
    "outliers where confidence ≥ 0.9 (share kept)",
)  # fmt: skip
TITLES = {"sdss": "Mocks of SDSS", "desi": "Mocks of DESI", "real": "Real SDSS spectra"}


def table(results):
    """All tables, as RST."""
    first = next(iter(results.values()))
    parts = [
        f"Made with {first['model'][0]} (sha256 {first['model'][1][:12]}) and spectok "
        f"{first['spectok']} by\n\n.. code-block:: text\n\n{COMMAND}\n\n"
        "In brackets: 95 % of 1000 bootstraps over objects, for shares Wilson's interval. Errors "
        "are judged where the redshift is right within 1,000 km/s. Figures of fewer than five "
        "objects, and shares of fewer than 30, are not given.\n"
    ]
    for name, title in TITLES.items():
        if name in results:
            task = results[name]
            about = f", {task['share']:.0%} of the objects" if task["share"] != 1.0 else ""
            parts += [f"**{title}{about}**\n", rows_of(task["results"])]
    return "\n".join(parts)


def rows_of(found):
    """One row for each survey, class, S/N and method."""
    rows, keys = [HEAD], []
    for one in found:
        key = (one["on"], one["of"], tuple(one["snr"]), one["method"])
        if key not in keys:
            keys.append(key)
    keys.sort(key=lambda key: (key[0], key[1], key[2][1] < 1e3, key[2]))
    for key in keys:
        some = {
            one["metric"]: one for one in found
            if (one["on"], one["of"], tuple(one["snr"]), one["method"]) == key
        }  # fmt: skip
        labels = some["outliers"].get("n_train")
        method = f"{key[3]} ({labels:,} labels)" if labels else key[3]
        sure = some.get("outliers of the sure", {})
        kept = f" ({sure['kept']:.0%})" if "kept" in sure else ""
        mean = some.get("mean confidence", {}).get("value")
        right = some["outliers"].get("value")
        said = f"{mean:.3f}, {1 - right:.3f}" if mean is not None and right is not None else "-"
        rows.append(
            (
                key[0].upper(),
                key[1],
                _between(key[2]),
                method,
                f"{some['outliers']['n']:,}",
                _value(some["scaled MAD"]),
                _value(some["bias"]),
                _value(some["outliers"]),
                _value(some.get("within 1 std", {})),
                said,
                _value(sure) + kept,
            )  # fmt: skip
        )
    return list_table(rows)


def _between(snr):
    low, high = snr
    if high >= 1e3:
        return f"above {low:g}" if low else "all"
    return f"{low:g} to {high:g}" if low else f"below {high:g}"


def _value(one):
    """A figure with its interval; counts where objects are few."""
    if "value" in one:
        return f"{one['value']:.3g} ({one['low']:.3g} to {one['high']:.3g})"
    return f"{one['count']} of {one['n']}" if "count" in one else "-"
