"""Are GALAH's wavelengths those in air or in vacuum, and in which frame? Measured in real files.

Three kinds of line are measured, and each is compared with where it would stand
if the file's wavelengths were those in air and if they were those in vacuum (the
two differ by 82 to 84 km/s):

* the lines of the O2 A band in the fourth camera, from the Earth's atmosphere.
  They need nothing from the survey but the barycentric correction which the
  header names: if it was applied, they stand at that velocity, else at zero;
* H-alpha and H-beta of the star, against its radial velocity. For the ``com``
  files of reduction 6 that velocity is the pipeline's own, which it found with
  templates in air, so these lines say that the file agrees with itself; for the
  standard star mu Leo it is the literature's, which is independent;
* H-alpha and H-beta in the ``dr4_fit`` files, which are at rest.

    python benchmarks/galah_medium.py --data DIR

``DIR`` is a folder with GALAH files somewhere below it: ``com`` files with their
four cameras side by side, and ``*_allstar_fit_spectrum.fits`` files.
"""

import argparse
import os
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.constants import c
from astropy.coordinates import EarthLocation, SkyCoord
from astropy.io import fits
from astropy.table import Table, vstack
from astropy.time import Time
from astropy.utils import iers
from astropy.utils.exceptions import AstropyUserWarning
from scipy.ndimage import percentile_filter
from scipy.optimize import OptimizeWarning, curve_fit
from specutils.utils.wcs_utils import vac_to_air

from spectok.surveys import galah

KMS = c.to_value("km/s")
# Vacuum wavenumbers [1/cm] of the doublets P5 to P29 of the O2 A band (b-X 0-0), from HITRAN.
O2 = [13105.616873, 13107.628467, 13098.848248, 13100.821753, 13091.710364, 13093.655840]
O2 += [13084.203391, 13086.125137, 13076.327290, 13078.227545, 13068.081818, 13069.961898]
O2 += [13059.466526, 13061.327273, 13050.480755, 13052.322742, 13041.123638, 13042.947272]
O2 += [13031.394094, 13033.199677, 13021.290830, 13023.078592, 13010.812336, 13012.582458]
O2 += [12999.956884, 13001.709510]
BALMER = {"H-alpha": 6564.614, "H-beta": 4862.691}  # vacuum, centre of the fine structure
SITE = EarthLocation.from_geodetic(149.0658 * u.deg, -31.2769 * u.deg, 1164 * u.m)  # the AAT
# Radial velocities which no pipeline of GALAH's measured: mu Leo, 13.6 km/s within 0.3 (SIMBAD).
LITERATURE = {"131216002601003": 13.6}
WORST = 1.0  # km/s: a star of a more uncertain velocity says nothing by its own lines
MU_LEO = SkyCoord(148.1909 * u.deg, 26.0070 * u.deg)


def dip(x, depth, centre, width, level, slope):
    """An absorption line on a sloping continuum."""
    return level + slope * (x - centre) - depth * np.exp(-0.5 * ((x - centre) / width) ** 2)


def centre_of(wavelength, flux, guess, half):
    """Centre of the absorption line near ``guess`` and its error [A], or None."""
    near = np.abs(wavelength - guess) < half
    x, y = wavelength[near], flux[near]
    if near.sum() < 8 or not np.isfinite(y).all():
        return None
    start = [np.ptp(y), guess, half / 3, y.max(), 0.0]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", OptimizeWarning)
            best, covariance = curve_fit(dip, x, y, start, maxfev=4000)
    except (RuntimeError, OptimizeWarning):
        return None
    error = np.sqrt(covariance[1, 1])
    good = best[0] > 0 and abs(best[1] - guess) < half and error < half / 4
    return (best[1], error) if good else None


def both(measured, vacuum):
    """Velocity [km/s] of a measured wavelength if it is one in air, and if one in vacuum."""
    air = vac_to_air(np.atleast_1d(vacuum) * u.AA).to_value(u.AA)
    return KMS * (measured / air - 1), KMS * (measured / np.atleast_1d(vacuum) - 1)


def oxygen(wavelength, absorbed):
    """Velocities of the O2 lines (if in air, if in vacuum), found without a guess of either."""
    vacuum = 1e8 / np.array(O2)
    flat = absorbed / percentile_filter(absorbed, 90, 301)
    trial = np.arange(-150.0, 150.0, 0.5)
    depth = [np.interp(vacuum * (1 + v / KMS), wavelength, flat).mean() for v in trial]
    guess = vacuum * (1 + trial[np.argmin(depth)] / KMS)
    found = [
        (line, fit[0])
        for line, at in zip(vacuum, guess, strict=True)
        if (fit := centre_of(wavelength, flat, at, 0.45))
    ]
    line, measured = np.array(found).T
    return both(measured, line)


def balmer(spectrum, vacuum, velocity):
    """Velocities (if in air, if in vacuum) of the deepest dip near, and their error.

    The middle of the line's core is the mean of its chords at 15 to 45 % of its depth;
    their scatter is the error. The cores are boxes rather than Gaussians.
    """
    wavelength, flux = spectrum.spectral_axis.value, spectrum.flux.value
    air = vac_to_air(vacuum * u.AA).to_value(u.AA)
    low, high = np.array([air - 1.2, vacuum + 1.2]) * (1 + velocity / KMS)
    if not wavelength[0] < low < high < wavelength[-1]:
        return None
    smooth = np.convolve(flux, np.ones(5) / 5, "same")
    inside = np.flatnonzero((wavelength > low) & (wavelength < high))
    bottom = inside[np.argmin(smooth[inside])]
    around = np.abs(wavelength - wavelength[bottom]) < 3
    floor, top = smooth[bottom], np.percentile(smooth[around], 90)
    if floor > 0.7 * top:  # no line, or one too weak to say anything
        return None
    middles = []
    for share in np.linspace(0.15, 0.45, 7):
        level = floor + share * (top - floor)
        left = bottom - np.argmax(smooth[bottom::-1] > level)
        right = bottom + np.argmax(smooth[bottom:] > level)
        edges = [
            np.interp(level, smooth[[near, near + step]], wavelength[[near, near + step]])
            for near, step in ((left + 1, -1), (right - 1, 1))
        ]
        middles.append(np.mean(edges))
    in_air, in_vacuum = both(np.array(middles), vacuum)
    return in_air.mean(), in_vacuum.mean(), in_air.std(ddof=1)


def row(kind, star, line, in_air, in_vacuum, expected, error=None):
    """One row: offsets from the expected velocity, their error from the scatter if none given."""
    n = np.size(in_air)
    if error is None:
        error = 1.4826 * np.median(np.abs(in_air - np.median(in_air))) / np.sqrt(n)
    offset = float(np.median(in_air)) - expected, float(np.median(in_vacuum)) - expected
    names = ("kind", "star", "line", "n", "expected", "if_air", "if_vacuum", "error")
    return dict(zip(names, (kind, star, line, n, expected, *offset, float(error)), strict=True))


def star_of(path):
    """Rows of one star's four ``com`` files, and the frame as far as the O2 lines tell."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyUserWarning)
        arms = {arm.meta["arm"]: arm for arm in galah.read(path)}
    infrared = path.with_name(path.name[:-6] + "4.fits")
    star, kind = path.name[:-6], "com, reduction 6"
    with fits.open(infrared) as hdus:
        header, by_name = hdus[0].header, {hdu.name.lower(): hdu.data for hdu in hdus}
    if "teluric" in by_name:
        absorbed = hdus_data(by_name["primary"]) * hdus_data(by_name["teluric"])
    else:
        kind, absorbed = "com, reduction 5", hdus_data(by_name["no_sky_subspectrum"])
    applied = header["BARYEFF"] if isinstance(header["BARYEFF"], float) else 0.0
    rows = [
        row(kind, star, "O2 A band", *oxygen(arms["4"].spectral_axis.value, absorbed), applied)
    ]
    label = arms["4"].meta["label"]
    velocity = label.get("rv")
    if label.get("e_rv", 0.0) > WORST:
        print(f"{star}: its velocity is uncertain by {label['e_rv']:.1f} km/s: no Balmer lines")
        velocity = None
    place = MU_LEO if star in LITERATURE else None
    if "ra" in arms["4"].meta:
        place = SkyCoord(arms["4"].meta["ra"], arms["4"].meta["dec"], unit="deg")
    if place is not None:
        when = Time(header["UTMJD"], format="mjd")
        due = place.radial_velocity_correction(obstime=when, location=SITE).to_value("km/s")
        print(f"{star}: barycentric correction {applied:.3f} in the header, {due:.3f} km/s due")
    if star in LITERATURE:
        # Not where the star would stand after the right correction, but after the one applied.
        velocity = LITERATURE[star] - due + applied
    for name, arm in (("H-alpha", "3"), ("H-beta", "1")):
        if velocity is not None and (found := balmer(arms[arm], BALMER[name], velocity)):
            rows.append(row(kind, star, name, *found[:2], velocity, found[2]))
    return rows


def hdus_data(array):
    """An array in the machine's byte order."""
    return np.asarray(array, dtype=float)


def fit_of(path):
    """Rows of one ``dr4_fit`` file: at rest, so that zero is expected."""
    rows = []
    for name, vacuum in BALMER.items():
        for arm in galah.read(path):
            if found := balmer(arm, vacuum, 0.0):
                star = path.name.split("_")[0]
                rows.append(row("dr4_fit", star, name, *found[:2], 0.0, found[2]))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("SPECTOK_DATA"))
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("give --data DIR, or set SPECTOK_DATA")
    iers.conf.auto_download = False
    rows = []
    for path in sorted(Path(arguments.data).rglob("*4.fits")):
        if path.name[:-5].isdigit():
            rows += star_of(path)
    for path in sorted(Path(arguments.data).rglob("*_allstar_fit_spectrum.fits")):
        rows += fit_of(path)
    if not rows:
        parser.error(f"no GALAH files below {arguments.data}")
    table = Table(rows)
    for name in ("expected", "if_air", "if_vacuum", "error"):
        table[name].format = ".2f"
    print("\nOffsets from the expected velocity [km/s], if the wavelengths are those in ...")
    table.pprint_all()
    print("\nMean offset [km/s] of the stars, with its standard error")
    groups = table.group_by(["kind", "line"]).groups
    means = []
    for key, group in zip(groups.keys, groups, strict=True):
        n = len(group)
        scatter = np.std(group["if_air"], ddof=1) / np.sqrt(n) if n > 1 else group["error"][0]
        means.append(
            Table(
                {
                    "kind": [key["kind"]],
                    "line": [key["line"]],
                    "stars": [n],
                    "if_air": [np.mean(group["if_air"])],
                    "if_vacuum": [np.mean(group["if_vacuum"])],
                    "error": [scatter],
                }
            )
        )
    mean = vstack(means)
    for name in ("if_air", "if_vacuum", "error"):
        mean[name].format = ".2f"
    mean.pprint_all()


if __name__ == "__main__":
    main()
