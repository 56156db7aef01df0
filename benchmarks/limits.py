"""Cramer-Rao bounds of mock stars' labels: how well they can be known at best.

    python benchmarks/limits.py --templates templates.safetensors

``templates.safetensors`` comes from ``recipes/small_v1/pack.py``; stars are drawn around those of
its test part. Takes two minutes on two cores. Printed are medians by family, the share of stars
whose bound is the Bayesian one, and how many times as wide shared noise makes the bounds.
"""

from __future__ import annotations

import argparse

import numpy as np

from spectok import simulate

LABELS = ("teff", "logg", "feh")
CASES = (
    ("apogee", (70.0, 130.0)),
    ("galah", (30.0, 60.0)),
    ("apogee", (5.0, 10.0)),
    ("galah", (5.0, 10.0)),
)  # noqa: E501


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--templates", required=True)
    parser.add_argument("-n", type=int, default=1000, help="stars of each case")
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    templates = simulate.load_templates(options.templates).part("test")
    print(f"{'instrument':10s} {'S/N':>8s} {'family':15s} {'stars':>5s}" + "".join(
        f"{label:>10s} {'Bayes':>6s} {'shared':>6s}" for label in LABELS
    ))  # fmt: skip
    for name, snr in CASES:
        simulator = simulate.Simulator(name, templates=templates, kind="star")
        ask = dict(seed=options.seed, snr=snr)
        with_, without = (
            simulate.label_bounds(simulator, options.n, correlated=c, **ask) for c in (True, False)
        )
        families = np.array(with_.observation.families)
        for family in np.unique(families):
            rows = (families == family) & np.isfinite(with_.plain["teff"])
            if not rows.any():
                continue
            line = f"{name:10s} {snr[0]:3g}-{snr[1]:<4g} {family:15s} {rows.sum():5d}"
            for label in LABELS:
                plain, bound = with_.plain[label][rows], with_.bound[label][rows]
                ratio = np.median(plain / without.plain[label][rows])
                line += f"{np.median(bound):10.4g} {np.mean(bound != plain):6.3f} {ratio:6.2f}"
            print(line)


if __name__ == "__main__":
    main()
