"""Measure the noise of four surveys on real training spectra, for the simulator.

    python recipes/measured/measure.py --data DIR --more DIR2 \
        --out spectok/simulate/measured.safetensors

DIR (or the environment variable SPECTOK_DATA) and DIR2 hold the spectra listed in their
MANIFEST.md. Takes some minutes on one core. Only objects of the training set of the project's one
split are used. Per survey, on its native pixels:

``floor``, ``line``
    variance without an object: its lower envelope (read-out and smooth sky) and what stands
    above it (sky lines), median over the spectra
``source``
    variance per unit of flux, smoothed: throughput is smooth, sky lines are not
``lsf``
    standard deviation of the line-spread function [km/s]
``telluric``
    optical depth of the air as the survey's own files give it (GALAH, APOGEE)

for SDSS's two spectrographs, ``sdss`` and ``boss``, apart, what ``spectrographs.py`` measures on
the coadds of both sets beside that (``nights``, ``wrong``, ``shared``, ``lost``);
and the coefficients of redrock's quasar bases that fit SDSS's models of training quasars.
In the metadata, ``traits``: signal to noise (mean and standard deviation of its log10), scatter
of the noise from spectrum to spectrum, how far the true noise departs from the stated one, and
how neighbouring pixels share it. Printed too, with the number of spectra each rests on.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from pathlib import Path

import astropy.units as u
import coadds
import coefficients
import noise
import numpy as np
import real
import spectrographs
from astropy.io import fits
from safetensors.numpy import save_file
from scipy.ndimage import median_filter

from spectok import surveys

LIGHT = 299792.458


def absolute(entry):
    """An entry in the unit of its file."""
    scale = entry["record"]["scale"]
    return {**entry, **{key: entry[key] * scale for key in ("flux", "sigma", "model")}}


def terms(spectra, wavelength, sky, source):
    """Absolute noise terms, and the scatter of the first [dex] from spectrum to spectrum."""
    a, b = [], []
    for e in spectra:
        ok = e["valid"] & (e["sigma"] > 0)
        w = e["wavelength"][ok]
        v, f = e["sigma"][ok].astype(float) ** 2, np.maximum(e["flux"][ok].astype(float), 0)
        if len(w) == len(wavelength):
            x, y = sky[ok], source[ok] * f
        else:
            x, y = np.interp(w, wavelength, sky), np.interp(w, wavelength, source) * f
        p, q = noise._two(x[None], y[None], v[None], 1 / v[None] ** 2, axis=1)
        a.append(p[0])
        b.append(q[0])
    a, b = np.array(a), np.array(b)
    a, b = a[a > 0], b[b > 0]
    return sky * np.median(a), source * np.median(b), float(np.std(np.log10(a)))


def split_sky(sky, segments, width=151):
    """Lower envelope and lines."""
    floor = np.concatenate([noise.envelope(sky[a:b], width) for a, b in segments])
    floor = np.minimum(floor, sky)
    return floor, sky - floor


def statistics(spectra):
    """True noise over stated noise, and its correlation with the next two pixels.

    From second differences of flux / sigma at lags 1 to 4, in the fainter half of the spectra,
    where the objects' own structure is below the noise: their variance is 1 - 4/3 rho(d) +
    1/3 rho(2d) of that of one pixel.
    """
    snr = np.array([e["record"]["snr"] for e in spectra])
    rows = []
    for e in spectra:
        if e["record"]["snr"] > np.median(snr):
            continue
        r = e["flux"] / np.where(e["valid"], e["sigma"], 1)
        row = []
        for d in (1, 2, 3, 4):
            ok = e["valid"][d:-d] & e["valid"][: -2 * d] & e["valid"][2 * d :]
            x = (2 * r[d:-d] - r[: -2 * d] - r[2 * d :])[ok]
            row.append((1.4826 * np.median(np.abs(x))) ** 2 / 6)
        rows.append(row)
    one, two, three, four = np.median(rows, 0)
    error = np.sqrt(np.mean([three, four]))
    # With rho(3) and beyond zero: lag 2 gives rho(2), then lag 1 gives rho(1).
    rho2 = np.clip(0.75 * (1 - two / error**2), -0.2, 0.2)
    rho1 = np.clip(0.75 * (1 + rho2 / 3 - one / error**2), -0.1, 0.6)
    spread = np.std(np.sqrt(np.mean(rows, 1))) if len(rows) > 1 else 0.0
    return float(error), float(rho1), float(rho2), float(spread), len(rows)


def bend(sigma):
    """Scatter [dex] of a run of errors about the straight line through its neighbours."""
    step = np.diff(np.log10(sigma), n=2)
    return 1.4826 * np.nanmedian(np.abs(step)) / np.sqrt(6)


def roughness(spectra, pattern):
    """Pixel-to-pixel scatter [dex] of stated errors beyond that of the noise terms."""
    own = [bend(np.where(e["valid"], e["sigma"], np.nan)) for e in spectra]
    return float(np.sqrt(max(np.median(own) ** 2 - bend(pattern) ** 2, 0.0)))


def taps(rho1, rho2):
    """Three weights of neighbouring white noise that give these correlations."""
    a, b = rho1, rho2
    for _ in range(200):
        norm = 1 + a**2 + b**2
        a, b = 0.5 * a + 0.5 * rho1 * norm / (1 + b), 0.5 * b + 0.5 * rho2 * norm
    return [1.0, float(a), float(b)]


def snr_of(spectra):
    """Mean and standard deviation of log10 S/N."""
    value = np.log10([max(e["record"]["snr"], 0.05) for e in spectra])
    return [float(np.mean(value)), float(np.std(value))]


def desi(data, spectra):
    full = [e for e in spectra if e["valid"].mean() > 0.9]
    ends = full[0]["segments"]
    segments = list(zip(ends[:-1], ends[1:], strict=True))
    wavelength, sky, source = noise.stacked(full, segments, smooth=301)
    sky, source, scatter = terms(full, wavelength, sky, source)
    floor, line = split_sky(sky, segments)
    lsf = []
    with fits.open(data / "desi/real/coadd-sv3-dark-9144.fits", memmap=False) as hdus:
        for arm in "BRZ":
            matrix = hdus[f"{arm}_RESOLUTION"].data[0].astype(float)
            offset = np.arange(len(matrix))[:, None] - len(matrix) // 2
            total = matrix.sum(0)
            mean = (matrix * offset).sum(0) / total
            width = np.sqrt((matrix * (offset - mean) ** 2).sum(0) / total)
            # The pixel itself is in the matrix: take its own width away.
            width = np.sqrt(np.maximum(median_filter(width, 101) ** 2 - 1 / 12, 0.1))
            lsf.append(0.8 * width / hdus[f"{arm}_WAVELENGTH"].data * LIGHT)
    return wavelength, floor, line, source, np.concatenate(lsf), scatter


def galah(data, spectra):
    star = next(e for e in spectra if "note" not in e["record"])
    files = [data / f"galah/real/com/{star['record']['id']}{c}.fits" for c in "1234"]
    read = lambda name: np.concatenate([fits.getdata(f, name).astype(float) for f in files])  # noqa: E731
    ends = star["segments"]
    segments = list(zip(ends[:-1], ends[1:], strict=True))
    wavelength, sky, source = noise.known_sky(star, read("sky"), segments, smooth=301, gain=1.0)
    floor, line = split_sky(sky, segments)
    lsf = median_filter(read("resolution_profile"), 101) / 2.3548 / wavelength * LIGHT
    telluric = -np.log(np.clip(read("teluric"), 0.02, 1.0))
    return wavelength, floor, line, source, lsf, telluric


def apogee(data, spectra):
    visits = [e for e in spectra if "note" not in e["record"]]
    paths = {
        surveys.apogee.read(p)[0].meta["object_id"]: p
        for p in sorted((data / "apogee/real").glob("apVisit*.fits"))
    }
    floors, lines, sources, depth = [], [], [], []
    for visit in visits:
        with fits.open(paths[visit["record"]["id"]], memmap=False) as hdus:
            wave, sky, air = (hdus[k].data.astype(float) for k in (4, 5, 7))
        chips = np.argsort(np.median(wave, axis=1))
        join = lambda x: np.concatenate([x[c][np.argsort(wave[c])] for c in chips])  # noqa: B023, E731
        ends = visit["segments"]
        segments = list(zip(ends[:-1], ends[1:], strict=True))
        wavelength, sky, source = noise.known_sky(visit, join(sky), segments, smooth=201)
        floor, line = split_sky(sky, segments)
        floors.append(floor)
        lines.append(line)
        sources.append(source)
        depth.append(-np.log(np.clip(join(air), 0.02, 1.0)))
    mean = lambda x: np.exp(np.mean(np.log(np.maximum(x, 1e-12)), 0))  # noqa: E731
    wavelength = visits[0]["wavelength"]
    lsf = np.full(len(wavelength), LIGHT / 22500 / 2.3548)
    return wavelength, mean(floors), mean(lines), mean(sources), lsf, np.mean(depth, 0)


def packed(name, found):
    """Arrays as the file keeps them: wavelengths in float64, the rest in float32."""
    return {
        f"{name}.{key}": np.ascontiguousarray(
            value, {"wavelength": np.float64, "group": np.int64}.get(key, np.float32)
        )
        for key, value in found.items()
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("SPECTOK_DATA"))
    parser.add_argument("--more", type=Path, help="folder of the second set")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if options.data is None or not Path(options.data).is_dir():
        parser.error("no data folder: give --data DIR or set SPECTOK_DATA")
    data = Path(options.data)
    warnings.simplefilter("ignore", category=u.UnitsWarning)
    entries = [absolute(e) for e in real.read_all(data) if e is not None and e["split"] == "train"]
    by = [[e for e in entries if e["survey"] == k] for k in range(4)]
    arrays, traits = {}, {}
    everything = [one for one in coadds.read(data, options.more) if one.split == "train"]
    for name in ("sdss", "boss"):
        spectra = [one for one in everything if one.spectrograph == name]
        found, traits[name] = spectrographs.measure(spectra)
        arrays |= packed(name, found)
        print(name, json.dumps(traits[name]))
    for number, measure in enumerate((desi, galah, apogee), 1):
        name, spectra = measure.__name__, by[number]
        wavelength, floor, line, source, lsf, rest = measure(data, spectra)
        found = {"wavelength": wavelength, "floor": floor, "line": line, "source": source}
        found["lsf"] = lsf
        trait = {"spectra": len(spectra), "snr": {"all": snr_of(spectra)}}
        for kind in ("GALAXY", "QSO", "STAR"):
            own = [e for e in spectra if e["class"] == kind]
            if len(own) >= 10:
                trait["snr"][kind] = snr_of(own)
        if name != "apogee":  # two bright stars: structure, no noise, in every difference
            error, rho1, rho2, spread, n = statistics(spectra)
            trait |= {"error": error, "taps": taps(rho1, rho2), "rho": [rho1, rho2], "faint": n}
            trait["error_scatter"] = spread
        trait["rough"] = roughness(spectra, np.sqrt(floor + line))
        if name == "desi":
            trait["scatter"] = rest
        else:
            found["telluric"] = rest
        bad = [1 - e["valid"].mean() for e in spectra if e["valid"].mean() > 0.8]
        trait["bad"] = float(np.median(bad)) if bad else 0.0
        arrays |= packed(name, found)
        traits[name] = trait
        print(name, json.dumps(trait))
    arrays |= coefficients.quasars(data, by[0])
    save_file(arrays, options.out, metadata={"traits": json.dumps(traits)})
    print(f"{options.out}: {options.out.stat().st_size / 2**20:.2f} MiB")


if __name__ == "__main__":
    main()
