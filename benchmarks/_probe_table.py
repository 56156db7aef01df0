"""Tables of the documentation, from the results of the benchmark."""

from __future__ import annotations

import numpy as np
from _probe_cells import KINDS, NAMES, STELLAR, between, cell, pick, plain, table, values
from _probe_table_real import novelty, real_classes, redshifts, single


def tables(results):
    """All tables, as RST."""
    tasks = results["tasks"]
    abouts = [task["about"] for task in tasks.values()]
    if {about["share"] for about in abouts} != {1.0} or len({a["sha256"] for a in abouts}) > 1:
        raise ValueError("tables are of whole tasks with one model: do those that are not again")
    about, date = abouts[0], max(about["date"] for about in abouts)
    parts = [
        f"Made by ``benchmarks/probes.py`` on {date} with {about['model']} "
        f"(sha256 {about['sha256'][:12]}). In brackets: 95 % of 1000 bootstraps over objects.\n"
    ]
    for title, makers in SECTIONS:
        done = [(make, gather(tasks, task)) for task, make in makers if task in tasks]
        if done:
            parts += [f"{title}\n{'~' * len(title)}\n"]
            parts += [make(found) for make, found in done]
    return "\n".join(parts)


def gather(tasks, name):
    """Results of a task; the numbers of labels end with those of the tasks that used them all."""
    found = tasks[name]["results"]
    if name == "labels":
        for other in ("classes", "stars"):
            every = tasks.get(other, {}).get("results", [])
            found = found + [
                {**r, "n_train": 10000} for r in every
                if r["n_train"] > 9000 and "snr" not in r and r.get("family", "all") == "all"
            ]  # fmt: skip
    return found


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


def transfer(found):
    rows = [("used on", "method", "labels", *KINDS)]
    more = [("used on", "method", "labels", *STELLAR.values())]
    for on in values(found, "on"):
        for method in values(pick(found, on=on), "method"):
            some = pick(found, on=on, method=method, metric="accuracy")
            head = (NAMES[on], method, f"{some[0]['n_train']:,}")
            rows.append((*head, *(cell(some, of=k) for k in KINDS)))
            some = pick(found, on=on, method=method, metric="scaled MAD")
            head = (NAMES[on], method, f"{some[0]['n_train']:,}")
            more.append((*head, *(cell(some, of=k) for k in STELLAR)))
    return (
        table("Accuracy of one survey's probe on another, the same mock objects", rows)
        + "\n"
        + table("Scaled MAD of stars' labels by one survey's probe on another, mocks", more)
    )


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
                cells.append(f"{np.median(got):.3g}{spread}" if got else "")
            rows.append((method, *cells))
        out.append(table(f"{title} (in brackets: the range of draws of the labels)", rows))
    return "\n".join(out)


SECTIONS = (
    ("Galaxy, quasar or star", (("classes", classes),)),
    ("Labels of stars", (("stars", stars),)),
    ("How far from the limit", (("stars", limits),)),
    ("Redshifts of mocks", (("redshifts", redshifts),)),
    (
        "From one survey to another",
        (
            ("transfer", transfer),
            ("across", plain("Counterparts among 1,000 mock objects of another survey")),
        ),
    ),
    ("How many labels it takes", (("labels", labels),)),
    (
        "What mean tokens know",
        (("latent", plain("Redshift and age of mock galaxies from their mean token")),),
    ),
    ("Novelty", (("novelty", novelty),)),
    (
        "Real spectra",
        (
            ("real classes", real_classes),
            (
                "giants",
                plain("Test giants of 403 real ones of APOGEE, 100 pixels each; ASPCAP, [K, dex]"),
            ),
            ("single stars", single),
        ),
    ),
)
