"""Truths of GALAH and APOGEE stars, from model grids and emulators."""

from __future__ import annotations

import numpy as np
from astropy.io import fits
from grids import vacuum

HERMES_ARMS = ((4713.0, 4904.0), (5648.0, 5874.0), (6478.0, 6738.0), (7584.0, 7888.0))
APOGEE = 6e-6  # log10 step


def galah(truths, data):
    """The LTE grid on the HERMES pixels, and the Munari templates."""
    d = np.load(data / "galah/generator/lte_hermes_grid.npz")
    w = vacuum(d["wave_air_A"])
    names = [str(n) for n in d["label_names"]]
    for f, label in zip(d["flux_u16"] / 65535 * 1.1, d["labels"], strict=True):
        arms = [(w[d["arm"] == a], f[d["arm"] == a]) for a in np.unique(d["arm"])]
        truths.add_hermes(
            arms, "lte_hermes_grid", dict(zip(names, map(float, label), strict=True))
        )
    d = np.load(data / "galah/generator/munari_R20000_normalised.npz")
    w = vacuum(d["wave_air_A"])
    for f, label in zip(d["flux"], d["labels"], strict=True):
        arms = [(w[(w > a) & (w < b)], f[(w > a) & (w < b)].astype(float)) for a, b in HERMES_ARMS]
        truths.add_hermes(
            arms, "munari", dict(zip(("teff", "logg", "feh"), map(float, label), strict=True))
        )


def apogee(truths, data, rng):
    """Emulators and grids in the H band; values in the detector gaps are filled in."""
    folder = data / "apogee/generator"
    w = np.load(folder / "apogee_wavelength_7214.npz")["wavelength"]
    for name, labels in (
        ("normalized", ("teff", "logg", "feh", "mgfe", "vmacro")),
        ("unnormalized", ("teff", "logg", "feh", "alphafe")),
    ):
        d = np.load(folder / f"payne_NN_{name}_spectra.npz")
        s = rng.uniform(-0.49, 0.49, size=(400, len(labels)))
        if name == "unnormalized":
            # Half dwarfs, half giants along a rough branch: no hot supergiants.
            teff = rng.uniform(3600, 6900, 400)
            giant = rng.random(400) < 0.5
            teff[giant] = rng.uniform(3600, 5400, giant.sum())
            logg = np.where(giant, 0.5 + (teff - 3600) / 1800 * 2.8, 4.5) + rng.normal(0, 0.2, 400)
            for k, x in ((0, teff), (1, logg)):
                s[:, k] = np.clip(
                    (x - d["x_min"][k]) / (d["x_max"][k] - d["x_min"][k]) - 0.5, -0.49, 0.49
                )
        for row in s:
            hidden = 1 / (
                1 + np.exp(-(np.einsum("ijk,k->ij", d["w_array_0"], row) + d["b_array_0"]))
            )
            flux = np.einsum("ij,ij->i", d["w_array_1"], hidden) + d["b_array_1"]
            values = (row + 0.5) * (d["x_max"] - d["x_min"]) + d["x_min"]
            truths.add(
                4,
                w,
                flux,
                APOGEE,
                f"payne {name}",
                dict(zip(labels, map(float, values), strict=True)),
            )
    coeffs = np.loadtxt(folder / "cannon_bovy/trained_apokasc_gc_ind_feh_fix.txt")
    teff = rng.uniform(4000, 5200, 500)
    x = np.array(
        [
            teff,
            np.clip(0.8 + (teff - 4000) / 1200 * 2.4 + rng.normal(0, 0.25, 500), 0.5, 3.8),
            rng.uniform(-0.9, 0.35, 500),
            rng.uniform(-0.02, 0.28, 500),
        ]
    ).T
    upper = [(i, j) for i in range(4) for j in range(i, 4)]
    for row in x:
        d = row - (4500.0, 2.0, -0.3, 0.05)
        flux = np.concatenate([[1.0], d, [d[i] * d[j] for i, j in upper]]) @ coeffs
        if 0.1 < np.percentile(flux, 0.5) and np.percentile(flux, 99.5) < 1.3:
            truths.add(
                4,
                w,
                flux,
                APOGEE,
                "cannon bovy",
                dict(zip(("teff", "logg", "m_h", "alpha_m"), map(float, row), strict=True)),
            )
    d = np.load(folder / "btsettl_apogee_R22500.npz")
    for f, label in zip(d["flux"], d["labels"], strict=True):
        truths.add(
            4,
            d["wave_A"],
            f,
            APOGEE,
            "btsettl",
            dict(zip(("teff", "logg", "m_h", "alpha_m"), map(float, label), strict=True)),
        )
    with fits.open(folder / "apg_rvsynthgrid.fits.gz", memmap=False) as hdus:
        flux = hdus[1].data.astype(float)
        flux = flux if flux.shape[0] == 96 else flux.T
        w = vacuum(10.0 ** (4.17871759122 + 4.78054467131e-6 * np.arange(flux.shape[1])))
        for f, m_h, t, g in zip(flux, hdus[2].data, hdus[3].data, hdus[4].data, strict=True):
            truths.add(
                4,
                w,
                f,
                APOGEE,
                "rvsynthgrid",
                {"teff": float(t), "logg": float(g), "m_h": float(m_h)},
            )
