"""How good are GALAH's flux and errors where the air absorbs? Measured in real files.

For the fourth camera of reduction 6 (``com`` files with an extension ``teluric``),
by the transmission of the air, below 7680 A:

- ``flux``: median of the corrected flux over a smooth continuum, 1 if the
  correction is right;
- ``file`` and ``reader``: median of d^2 in units of its variance over 0.4549, 1 if
  the errors are right, where d is a pixel less the mean of those three pixels away;
  by the file's relative error, and with the noise divided by the transmission as
  the flux was, which is what ``spectok.surveys.galah.read`` does.

    python benchmarks/galah_telluric.py --data DIR
"""

import argparse
import os
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

EDGES = (1.0, 0.9, 0.7, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05)


def spread(values):
    """A value plus a quarter of those three pixels away: the variance of d."""
    return values + 0.25 * (np.roll(values, 3) + np.roll(values, -3))


def measure(path):
    """One row per bin of transmission."""
    with fits.open(path) as hdus:
        header = hdus[0].header
        by_name = {hdu.name.lower(): np.asarray(hdu.data, float) for hdu in hdus}
    if "teluric" not in by_name:
        return
    flux, seen = by_name["primary"], by_name["teluric"]
    wavelength = header["CRVAL1"] + header["CDELT1"] * np.arange(flux.size)
    variance = (by_name["relative_error"] * flux) ** 2
    with np.errstate(divide="ignore"):
        mended = (variance - flux * (1 - seen)) / seen**2
    squared = (flux - 0.5 * (np.roll(flux, 3) + np.roll(flux, -3))) ** 2
    # The continuum: a cubic through bins of 10 A outside the O2 band.
    points = []
    for start in np.arange(7584.0, 7890.0, 10.0):
        bin_ = (wavelength >= start) & (wavelength < start + 10) & (seen > 0.99)
        bin_ &= (wavelength < 7592) | (wavelength > 7665)
        if bin_.sum() > 20:
            points.append((wavelength[bin_].mean(), np.percentile(flux[bin_], 70)))
    middle, level = np.array(points).T
    level = np.polyval(np.polyfit(middle - 7700, level, 3), wavelength - 7700)
    lowest = np.minimum(seen, np.minimum(np.roll(seen, 3), np.roll(seen, -3)))
    inside = (wavelength < 7680) & (np.arange(flux.size) > 5)
    for high, low in zip(EDGES[:-1], EDGES[1:], strict=True):
        here = inside & (seen > low) & (seen <= high)
        noise = inside & (lowest > low) & (lowest <= high) & (variance > 0) & (mended > 0)
        yield {
            "star": path.name[:-6],
            "transmission": f"{low:.2f} to {high:.2f}",
            "pixels": int(here.sum()),
            "flux": np.median(flux[here] / level[here]),
            "file": np.median(squared[noise] / spread(variance)[noise]) / 0.4549,
            "reader": np.median(squared[noise] / spread(mended)[noise]) / 0.4549,
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("SPECTOK_DATA"))
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("give --data DIR, or set SPECTOK_DATA")
    paths = [p for p in sorted(Path(arguments.data).rglob("*4.fits")) if p.name[:-5].isdigit()]
    rows = [row for path in paths for row in measure(path)]
    if not rows:
        parser.error(f"no GALAH files of reduction 6 below {arguments.data}")
    table = Table(rows)
    for name in ("flux", "file", "reader"):
        table[name].format = ".2f"
    table.pprint_all()


if __name__ == "__main__":
    main()
