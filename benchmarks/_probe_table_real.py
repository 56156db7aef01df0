"""Tables of redshifts, of real spectra and of the novelty score."""

from __future__ import annotations

from _probe_cells import NAMES, STELLAR, between, cell, pick, plain, table, values


def redshifts(found):
    rows = [
        (
            "survey",
            "class",
            "S/N per pixel",
            "method",
            "spectra",
            "NMAD of Δz / (1 + z)",
            "outliers",
        )
    ]
    for on in values(found, "on"):
        for of in values(found, "of"):
            for method in values(found, "method"):
                some = pick(found, on=on, of=of, method=method)
                for snr in values(some, "snr") or ["", *[]]:
                    part = [r for r in some if str(r.get("snr", "")) == snr]
                    if not part:
                        continue
                    far = [r for r in part if r["metric"].startswith("outliers")]
                    share = f", {part[0]['share']:.0%} of all" if "share" in part[0] else ""
                    limit = far[0]["metric"].split(", ")[1]
                    where = between(part[0]["snr"]) if snr else "all"
                    rows.append(
                        (NAMES.get(on, on), of, where, method, f"{part[0]['n']:,}{share}",
                         cell(part, metric="NMAD"), f"{cell(far)} beyond {limit}")
                    )  # fmt: skip
    return table("Redshifts", rows)


def real_classes(found):
    counts = [r for r in found if r["metric"] in ("right", "accuracy")]
    return (
        plain("Classes of real test spectra")(counts)
        + "\n"
        + redshifts([r for r in found if r["metric"] not in ("right", "accuracy", "confusion")])
    )


def single(found):
    rows = [
        (
            "survey",
            "star",
            "S/N",
            *(f"{label}: label, probe" for label in STELLAR.values()),
            "note",
        )
    ]
    for name in dict.fromkeys(r["object"] for r in found):
        some = pick(found, object=name)
        cells = [
            "; ".join(
                f"{r['label']:.4g}, {r['value']:.4g} ± {r['std']:.2g}" for r in pick(some, of=k)
            )
            for k in STELLAR
        ]
        rows.append((some[0]["on"], name, f"{some[0]['snr']:g}", *cells, some[0]["note"]))
    return table("Real stars that were in no training, by probes of mocks", rows)


def novelty(found):
    rows = [("ordinary spectra", "n", "p < 0.01", "p < 0.05", "p < 0.1")]
    for name, r in found["calibration"].items():
        shares = [r["p"][f"< {p}"] for p in (0.01, 0.05, 0.1)]
        rows.append((name, str(shares[0]["of"]), *(_share(s) for s in shares)))
    odd = [("oddity, in mocks of BOSS", "n", "area under the curve", "p < 0.01", "p < 0.05")]
    for name, r in found["detection"].items():
        shares = [r["found"][f"< {p}"] for p in (0.01, 0.05)]
        area = "{:.2f} ({:.2f} to {:.2f})".format(*r["area"]) if "area" in r else ""
        odd.append(
            (name.replace("_", " "), str(shares[0]["of"]), area, *(_share(s) for s in shares))
        )
    single = [("real spectra", "object", "S/N", "score", "p, misfit", "p, peak", "p, distance")]
    for group, several in found["real"].items():
        for r in several:
            ps = (f"{r[p]:.2g}" for p in ("p_misfit", "p_peak", "p_distance"))
            single.append((group, r["object"], f"{r['snr']:.1f}", f"{r['score']:.2f}", *ps))
    return "\n".join(
        [
            table("Ordinary spectra that the novelty score calls odd", rows),
            table("Oddities: area of the score against ordinary spectra of like S/N", odd),
            table("Single spectra (a score above 2 is odd at p < 0.01)", single),
        ]
    )


def _share(one):
    """Counts, and the share where there are enough."""
    count = f"{one['count']} of {one['of']}"
    if "share" not in one:
        return count
    return "{:.1%} ({:.1%} to {:.1%})".format(*one["share"])
