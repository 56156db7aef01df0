"""Nebular emission lines: rest vacuum wavelengths, names, rough strengths."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

# Rough fluxes relative to H-beta = 1: (vacuum Angstrom, star-forming, AGN).
# Orders of magnitude for mock spectra (Osterbrock & Ferland 2006; Vanden Berk
# et al. 2001 for the ultraviolet of AGN), not measurements.
STRENGTHS = (
    (1215.67, 8.0, 10.0),
    (1240.81, 0.0, 1.0),
    (1304.35, 0.1, 0.3),
    (1335.31, 0.05, 0.1),
    (1396.76, 0.05, 0.9),
    (1549.48, 0.3, 3.0),
    (1640.42, 0.15, 0.5),
    (1857.4, 0.0, 0.4),
    (1892.03, 0.1, 0.3),
    (1908.73, 0.3, 2.0),
    (2796.35, 0.15, 1.0),
    (2803.53, 0.1, 0.9),
    (3346.79, 0.01, 0.2),
    (3426.85, 0.02, 0.6),
    (3727.09, 1.2, 1.2),
    (3729.88, 1.6, 1.4),
    (3869.86, 0.3, 0.9),
    (3889.75, 0.17, 0.15),
    (3971.2, 0.16, 0.16),
    (4102.89, 0.26, 0.26),
    (4341.68, 0.47, 0.47),
    (4364.44, 0.03, 0.15),
    (4472.73, 0.04, 0.04),
    (4687.02, 0.01, 0.25),
    (4862.69, 1.0, 1.0),
    (4960.3, 0.7, 3.3),
    (5008.24, 2.1, 10.0),
    (5756.19, 0.01, 0.05),
    (5877.25, 0.12, 0.1),
    (6302.05, 0.12, 0.5),
    (6313.81, 0.015, 0.03),
    (6365.54, 0.04, 0.17),
    (6549.86, 0.3, 1.0),
    (6564.61, 2.87, 3.1),
    (6585.27, 0.9, 3.0),
    (6679.99, 0.03, 0.03),
    (6718.29, 0.5, 0.8),
    (6732.67, 0.37, 0.75),
    (7067.2, 0.03, 0.03),
    (7137.77, 0.1, 0.25),
    (7320.94, 0.03, 0.06),
    (7331.68, 0.03, 0.05),
    (9071.1, 0.25, 0.6),
    (9533.2, 0.6, 1.5),
)


def read(path) -> tuple[np.ndarray, list[dict]]:
    """Read the list of fastspecfit: wavelengths, and a record of each line."""
    table = Table.read(path, format="ascii.ecsv")
    table.sort("restwave")
    wavelength, records = [], []
    for row in table:
        w = float(row["restwave"])
        # Broad and narrow components of a line are listed at one wavelength.
        if not 1200 < w < 10000 or (wavelength and abs(w - wavelength[-1]) < 0.05):
            continue
        near = min(STRENGTHS, key=lambda s: abs(s[0] - w))
        known = abs(near[0] - w) < 3.0
        wavelength.append(w)
        records.append(
            {
                "name": str(row["name"]),
                "wavelength": w,
                "balmer": bool(row["isbalmer"]),
                "star_forming": near[1] if known else 0.02,
                "agn": near[2] if known else 0.05,
                "known": known,
            }
        )
    return np.array(wavelength), records
