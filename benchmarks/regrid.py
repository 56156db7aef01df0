"""Tokens of one grid decoded onto another, against the truth, on mock observations.

    python benchmarks/regrid.py --templates FILE [--model small-v1] [--n 192] [--out regrid.json]

FILE comes from ``simulate.save_templates``; without it the analytic templates are used. Takes
two minutes on two cores. Objects are observed once, with noise; tokens are made of that and
decoded onto the grid of a second instrument, whose noise-free flux is the truth. Both are without
calibration errors, which no decoder can know of. Scored are decoded minus true flux, where both
are known, in units of the noise that the first observation has at that wavelength (and per pixel
of its own): the median of its absolute value over 0.6745, and the clipped rms (each pixel at most
10). 1 is what a pixel of the input itself has. Beside it, linear interpolation of the noisy input.
``within 1, 2 sigma`` are shares of the pixels whose truth lies within so many of the model's own
standard deviations: 0.68 and 0.95 if it is calibrated. ``gap`` is scored inside a gap of 400
Angstrom only, of which the encoder saw nothing. Intervals: 95 % of 100 bootstraps over objects.

The resolution that the decoder has is measured last: spectra of a flat continuum with Gaussian
emission lines as wide as BOSS makes them, at S/N 50 and all phases of a pixel, are encoded and
decoded; a Gaussian is fitted to each line. Given is its width over that of the line that went in,
and for DESI's grid also over what DESI would see (median, and 16 to 84 % of the lines).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

import astropy.units as u
import numpy as np
from _rst import list_table
from scipy.optimize import curve_fit

import spectok
from spectok import simulate

BINS = ((0.0, 10.0), (10.0, 30.0), (30.0, np.inf))
GAP = (6200.0, 6600.0)
LIGHT = 299792.458  # km/s


def exact(instrument):
    """An instrument without errors of calibration and without rays or dead arms."""
    own = instrument.calibrated()
    return replace(own, traits={**own.traits, "dead": 0.0, "cosmic": 0.0})


def cases():
    """Name, instrument that observes, instrument that is asked for."""
    boss, desi = exact(simulate.instrument("boss")), exact(simulate.instrument("desi"))
    apogee = exact(simulate.instrument("apogee"))
    visit = exact(simulate.instrument("apogee-visit"))
    return {
        "boss, own grid": (boss, boss),
        "boss to desi": (boss, desi),
        "desi, own grid": (desi, desi),
        "desi to boss": (desi, boss),
        "boss, pixels half as wide": (boss, boss.modified(sampling=0.5)),
        "boss, pixels twice as wide": (boss, boss.modified(sampling=2.0, resolution=1000.0)),
        "boss, window": (boss, boss.modified(window=(5000.0, 6000.0))),
        "boss, gap": (boss, boss),
        "apogee to visit": (apogee, visit),
    }


def score(pull, base, ratio, rows):
    """Figures of some objects, with intervals over them."""
    rng = np.random.default_rng(0)
    clipped = {"model": np.minimum(pull**2, 100.0), "linear": np.minimum(base**2, 100.0)}
    absolute = {"model": np.abs(pull), "linear": np.abs(base)}

    def figures(rows):
        out = {}
        for name in clipped:
            out[f"{name} median"] = float(np.nanmedian(absolute[name][rows]) / 0.6745)
            out[f"{name} rms"] = float(np.sqrt(np.nanmean(clipped[name][rows])))
        known = ratio[rows][np.isfinite(ratio[rows])]
        out["within 1"], out["within 2"] = float((known < 1).mean()), float((known < 2).mean())
        return out

    found = figures(rows)
    draws = [figures(rng.choice(rows, len(rows))) for _ in range(100)]
    for key in list(found):
        low, high = np.percentile([d[key] for d in draws], (2.5, 97.5))
        found[key] = [found[key], float(low), float(high)]
    return {"n": len(rows), **found}


def run(name, seen_by, asked_of, options, templates):
    """One case: all S/N bins."""
    instruments = (seen_by,) if seen_by is asked_of else (seen_by, asked_of)
    simulator = simulate.Simulator(*instruments, templates=templates)
    observed = simulator.observe(options.n, seed=options.seed, snr=(3.0, 100.0))
    first, second = observed[0], observed[-1]
    wavelength, grid = (i.wavelength for i in (seen_by, asked_of))
    flux, sigma = first.flux.double().numpy(), first.sigma.double().numpy()
    valid, truth = first.valid.numpy().copy(), second.truth.double().numpy()
    inside = np.ones(len(grid), bool)
    if name.endswith("gap"):
        inside = (grid > GAP[0]) & (grid < GAP[1])
        valid &= ~((wavelength > GAP[0]) & (wavelength < GAP[1]))
    usable = np.flatnonzero(valid.mean(1) > 0.3)
    tokens = spectok.encode_arrays(
        wavelength * u.AA, flux[usable], sigma[usable] ** -2.0, ~valid[usable],
        model=options.model, progress=False,
    )  # fmt: skip
    order = np.argsort(grid, kind="stable")
    again = spectok.decode(tokens, grid[order] * u.AA, model=options.model)
    decoded, error = np.full((2, len(usable), len(grid)), np.nan)
    shape = (len(usable), len(grid))
    mask = np.broadcast_to(again.mask if again.mask is not None else False, shape)
    decoded[:, order] = np.where(mask, np.nan, again.flux.value.reshape(shape))
    error[:, order] = again.uncertainty.array.reshape(shape)
    pull, base, ratio = np.full((3, *shape), np.nan)
    up = np.argsort(wavelength, kind="stable")
    for row, i in enumerate(usable):
        good = up[valid[i][up]]
        noise = np.interp(grid, wavelength[good], sigma[i][good])
        line = np.interp(grid, wavelength[good], flux[i][good])
        covered = (grid > wavelength[good[0]]) & (grid < wavelength[good[-1]])
        # Where the template says nothing the truth is none.
        keep = second.valid[i].numpy() & covered & inside & np.isfinite(decoded[row])
        pull[row, keep] = ((decoded[row] - truth[i]) / noise)[keep]
        base[row, keep] = ((line - truth[i]) / noise)[keep]
        ratio[row, keep] = (np.abs(decoded[row] - truth[i]) / error[row])[keep]
    snr = first.labels["snr"].numpy()[usable]
    some = np.isfinite(pull).any(1)
    out = {}
    for low, high in BINS:
        rows = np.flatnonzero((snr >= low) & (snr < high) & some)
        if len(rows) >= 5:
            out[f"{low:g}-{high:g}"] = score(pull, base, ratio, rows)
    return out


def resolution(options):
    """Widths of decoded lines over those of what went in, and of what DESI would see."""
    boss, desi = exact(simulate.instrument("boss")), exact(simulate.instrument("desi"))
    finer = boss.modified(sampling=0.5)
    centres = np.geomspace(4000.0, 9000.0, 24)
    widths = {
        one: centres / LIGHT * np.interp(centres, one.wavelength, one.lsf) for one in (boss, desi)
    }
    rng = np.random.default_rng(options.seed)
    grid, n = boss.wavelength, 24
    places = centres + rng.uniform(-1.0, 1.0, (n, len(centres)))
    flux = 1.0 + sum(
        np.exp(-0.5 * ((grid - places[:, k, None]) / widths[boss][k]) ** 2)
        for k in range(len(centres))
    )
    noisy = flux + rng.normal(0.0, 0.02, flux.shape)
    tokens = spectok.encode_arrays(
        grid * u.AA, noisy, np.full(flux.shape, 0.02**-2), model=options.model, progress=False
    )

    def line(x, height, centre, width, level):
        return level + height * np.exp(-0.5 * ((x - centre) / width) ** 2)

    found = {}
    for name, target in (("own grid", boss), ("half as wide pixels", finer), ("desi", desi)):
        axis = target.wavelength
        again = spectok.decode(tokens, axis * u.AA, model=options.model).flux.value
        ratio = []
        for row, k in np.ndindex(places.shape):
            start = (1.0, places[row, k], widths[boss][k], 1.0)
            near = np.abs(axis - places[row, k]) < 6.0 * widths[boss][k]
            try:
                fit, _ = curve_fit(line, axis[near], again[row][near], start)
            except RuntimeError:
                continue  # no line is left to fit; the count says so
            ratio.append((abs(fit[2]) / widths[boss][k], abs(fit[2]) / widths[desi][k]))
        middle = np.percentile(ratio, (50, 16, 84), axis=0).T.tolist()
        found[name] = {"lines": len(ratio), "over BOSS": middle[0], "over DESI": middle[1]}
        print(f"resolution, {name}: {found[name]}")
    return found


def table(found):
    """The cases as an RST table."""
    rows = [("case", "S/N", "n", "model, median", "model, rms", "linear, median", "linear, rms",
             "within 1, 2")]  # fmt: skip
    for name, bins in found.items():
        for snr, one in bins.items():
            cells = [
                "{:.2f} ({:.2f}-{:.2f})".format(*one[key])
                for key in ("model median", "model rms", "linear median", "linear rms")
            ]
            within = f"{one['within 1'][0]:.2f}, {one['within 2'][0]:.2f}"
            rows.append((name, snr.replace("-inf", " and more"), str(one["n"]), *cells, within))
    return list_table(rows)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--templates")
    parser.add_argument("--model", default=None)
    parser.add_argument("--n", type=int, default=192)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--out", help="JSON file")
    parser.add_argument("--rst", help="table for the documentation")
    parser.add_argument("--case", nargs="*")
    options = parser.parse_args()
    templates = simulate.load_templates(options.templates) if options.templates else None
    found = {}
    print("case, S/N: n; model median, rms; linear median, rms; within 1, 2 sigma")
    for name, (seen_by, asked_of) in cases().items():
        if options.case and name not in options.case:
            continue
        found[name] = run(name, seen_by, asked_of, options, templates)
        for snr, row in found[name].items():
            show = lambda key: f"{row[key][0]:.2f} ({row[key][1]:.2f}-{row[key][2]:.2f})"  # noqa: B023, E731
            print(
                f"{name}, {snr}: {row['n']}; {show('model median')}, {show('model rms')}; "
                f"{show('linear median')}, {show('linear rms')}; "
                f"{row['within 1'][0]:.2f}, {row['within 2'][0]:.2f}"
            )
    if options.rst:
        with open(options.rst, "w") as file:
            file.write(table(found))
    if not options.case:
        found["resolution"] = resolution(options)
    if options.out:
        with open(options.out, "w") as file:
            json.dump(found, file, indent=1)


if __name__ == "__main__":
    main()
