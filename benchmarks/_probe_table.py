"""Tables of the documentation, from the results of the benchmark."""

from __future__ import annotations

from _rst import list_table

ALL = [0.0, 1e3]
STELLAR = {"teff": "Teff [K]", "logg": "log g", "feh": "[Fe/H]"}
KINDS = ("GALAXY", "QSO", "STAR", "mean")
NAMES = {"desi-arms": "DESI", "desi": "DESI", "sdss": "SDSS", "apogee": "APOGEE", "galah": "GALAH"}


def tables(results):
    """All tables, as RST."""
    about, tasks = results["about"], results["tasks"]
    date = max(task.get("date", about["date"]) for task in tasks.values())
    parts = [
        f"Made by ``benchmarks/probes.py`` on {date} with {about['model']} "
        f"(sha256 {about['sha256'][:12]}). In brackets: 95 % of 1000 bootstraps over objects.\n"
    ]
    for name, title, makers in SECTIONS:
        done = [(make, tasks[task]["results"]) for task, make in makers if task in tasks]
        if done:
            parts += [f".. _probes-{name}:\n\n{title}\n{'-' * len(title)}\n"]
            parts += [make(found) for make, found in done]
    return "\n".join(parts)


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


def classes(found):
    rows = [("survey", "method", "labels", "spectra", *KINDS)]
    by_snr = [("survey", "S/N per pixel", "spectra", *KINDS)]
    for on in values(found, "on"):
        for method in values(found, "method"):
            whole = [r for r in pick(found, on=on, method=method) if "snr" not in r]
            cells = [cell(whole, of=kind) for kind in KINDS]
            (n,) = {r["n"] for r in pick(whole, of="mean")}
            rows.append((NAMES[on], method, f"{whole[0]['n_train']:,}", f"{n:,}", *cells))
        for snr in values(pick(found, on=on, method="probe"), "snr"):
            some = [r for r in pick(found, on=on, method="probe") if str(r.get("snr")) == snr]
            n = pick(some, of="mean")[0]["n"]
            by_snr.append(
                (NAMES[on], between(some[0]["snr"]), f"{n:,}", *(cell(some, of=k) for k in KINDS))
            )  # noqa: E501
    return (
        table("Accuracy of classes, mocks", rows)
        + "\n"
        + table("The probe's by signal to noise, mocks", by_snr)
    )


def between(snr):
    """A range of signal to noise, in words."""
    low, high = snr
    if high >= 1e3:
        return "all" if low == 0 else f"above {low:g}"
    return f"below {high:g}" if low == 0 else f"{low:g} to {high:g}"


def stars(found):
    heads = [f"{label}" for label in STELLAR.values()]
    rows = [("survey", "family", "method", "stars", *heads)]
    bias = [
        (
            "survey",
            "family",
            "stars",
            *(f"bias, {h}" for h in heads),
            *(f"in 1, 2 σ, {h}" for h in heads),
        )
    ]  # noqa: E501
    for on in values(found, "on"):
        for family in values(pick(found, on=on), "family"):
            for method in values(pick(found, on=on), "method"):
                some = pick(found, on=on, family=family, method=method)
                mad = pick(some, metric="scaled MAD")
                if method != "probe" and family not in ("all", "1 < logg < 3.5"):
                    continue
                n = max(r["n"] for r in mad)
                rows.append(
                    (NAMES[on], family, method, f"{n:,}", *(cell(mad, of=k) for k in STELLAR))
                )  # noqa: E501
            some = pick(found, on=on, family=family, method="probe")
            shares = [
                ", ".join(
                    f"{r['value']:.2f}"
                    for w in (1, 2)
                    for r in pick(some, metric=f"within_{w}", of=k)
                    if "value" in r
                )  # noqa: E501
                for k in STELLAR
            ]
            if family in ("all", "1 < logg < 3.5"):
                n = max(r["n"] for r in some)
                bias.append(
                    (
                        NAMES[on],
                        family,
                        f"{n:,}",
                        *(cell(some, metric="bias", of=k) for k in STELLAR),
                        *shares,
                    )
                )  # noqa: E501
    return (
        table("Scaled MAD of stars' labels, mocks", rows)
        + "\n"
        + table("Bias of the probe, and shares within its own errors (0.68, 0.95), mocks", bias)
    )


def limits(found):
    found = [r for r in found if "bound" in r["metric"]]
    rows = [("survey", "family", "method", "stars", *STELLAR.values())]
    more = [
        (
            "survey",
            "family",
            *(f"median bound, {h}" for h in STELLAR.values()),
            *(f"bias, {h}" for h in STELLAR.values()),
        )
    ]  # noqa: E501
    for on in values(found, "on"):
        for family in values([r for r in pick(found, on=on) if r["n"] > 0], "family"):
            for method in values(pick(found, on=on), "method"):
                if method != "probe" and family != "all":
                    continue
                some = pick(found, on=on, family=family, method=method)
                mad = pick(some, metric="scaled MAD over bound")
                rows.append(
                    (
                        NAMES[on],
                        family,
                        method,
                        f"{mad[0]['n']:,}",
                        *(cell(mad, of=k) for k in STELLAR),
                    )
                )  # noqa: E501
            some = pick(found, on=on, family=family, method="probe")
            bounds = [
                f"{pick(some, of=k)[0].get('median bound', float('nan')):.3g}" for k in STELLAR
            ]
            more.append(
                (
                    NAMES[on],
                    family,
                    *bounds,
                    *(cell(some, metric="bias over bound", of=k) for k in STELLAR),
                )
            )  # noqa: E501
    return (
        table("Scaled MAD over every star's own Cramér-Rao bound, mocks (1 is the limit)", rows)
        + "\n"
        + table("Median bounds, and the probe's bias in units of the bound, mocks", more)
    )


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


def transfer(found):
    rows = [
        (
            "used on",
            "method",
            "labels",
            *KINDS[:3],
            "mean",
            "NMAD of Δz / (1 + z)",
            *STELLAR.values(),
        )
    ]  # noqa: E501
    for on in values(found, "on"):
        for method in values(pick(found, on=on), "method"):
            some = pick(found, on=on, method=method)
            rows.append(
                (NAMES[on], method, f"{some[0]['n_train']:,}",
                 *(cell(some, metric="accuracy", of=k) for k in KINDS), cell(some, metric="NMAD"),
                 *(cell(some, metric="scaled MAD", of=k) for k in STELLAR))
            )  # fmt: skip
    return table("One survey's probe on another, the same mock objects", rows)


def labels(found):
    out = []
    for on, metric, of, title in (
        ("sdss", "accuracy", "mean", "Mean accuracy of three classes, mocks of SDSS"),
        ("apogee", "scaled MAD", "feh", "Scaled MAD of [Fe/H], mocks of APOGEE"),
        ("apogee", "scaled MAD", "teff", "Scaled MAD of Teff [K], mocks of APOGEE"),
    ):
        some = pick(found, on=on, metric=metric, of=of)
        counts = sorted({r["n_train"] for r in some})
        rows = [("method", *(f"{n:,} labels" for n in counts))]
        for method in values(some, "method"):
            cells = []
            for n in counts:
                got = [r["value"] for r in pick(some, method=method, n_train=n) if "value" in r]
                spread = f" ({min(got):.3g} to {max(got):.3g})" if len(got) > 1 else ""
                cells.append(f"{sorted(got)[len(got) // 2]:.3g}{spread}" if got else "")
            rows.append((method, *cells))
        out.append(table(f"{title} (in brackets: the range of draws of the labels)", rows))
    return "\n".join(out)


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


def real_classes(found):
    counts = [r for r in found if r["metric"] in ("right", "accuracy")]
    return (
        plain("Classes of real test spectra")(counts)
        + "\n"
        + redshifts([r for r in found if r["metric"] not in ("right", "accuracy", "confusion")])
    )


def single(found):
    rows = [("survey", "star", "S/N", "label", "catalogue", "probe of mocks", "note")]
    for r in found:
        rows.append(
            (
                r["on"],
                r["object"],
                f"{r['snr']:g}",
                STELLAR[r["of"]],
                f"{r['label']:.4g}",
                f"{r['value']:g} ± {r['std']:g}",
                r["note"],
            )
        )  # noqa: E501
    return table("Real stars that were in no training", rows)


def novelty(found):
    rows = [("ordinary spectra", "n", "p < 0.01", "p < 0.05", "p < 0.1")]
    for name, r in found["calibration"].items():
        rows.append((name, str(r["n"]), *(_share(r[p]) for p in ("0.01", "0.05", "0.1"))))
    odd = [("oddity, in mocks", "n", "area under the curve", "found at p < 0.01")]
    for name, r in found["detection"].items():
        odd.append((name.replace("_", " "), str(r["n"]), _share(r["auc"]), _share(r["found"])))
    return table("Calibration of the novelty score", rows) + "\n" + table("Detection", odd)


def _share(three):
    return "{:.3g} ({:.3g} to {:.3g})".format(*three)


SECTIONS = (
    ("classes", "Galaxy, quasar or star", (("classes", classes),)),
    ("stars", "Labels of stars", (("stars", stars),)),
    ("limit", "How far from the limit", (("stars", limits),)),
    ("redshifts", "Redshifts of mocks", (("redshifts", redshifts),)),
    ("transfer", "From one survey to another", (("transfer", transfer), ("across", plain("Counterparts among 1,000 mock objects of another survey")))),
    ("labels", "How many labels it takes", (("labels", labels),)),
    ("latent", "What mean tokens know", (("latent", plain("Redshift and age of mock galaxies from their mean token")),)),
    ("novelty", "Novelty", (("novelty", novelty),)),
    ("real", "Real spectra", (("real classes", real_classes), ("giants", plain("403 real APOGEE giants, 100 pixels each")), ("single stars", single))),
)  # fmt: skip
