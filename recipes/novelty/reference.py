"""Make the reference for `spectok.probes.novelty` that comes with a model.

    python recipes/novelty/reference.py --templates templates.safetensors \
        --train train.safetensors [--model small-v1] [--output small-v1.safetensors]

Both files come from ``recipes/small_v1/pack.py``. Ordinary are mocks of all surveys with all
templates at the surveys' S/N, one in four of them at a S/N of 1 to 200, and the real training
spectra (never validation, test or evaluation objects). Takes ten minutes on one core.
Where the model has a reader, their embeddings are kept, too, and distances are measured between
these.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
from astropy import units as u
from astropy.nddata import InverseVariance
from safetensors.numpy import save_file
from specutils import Spectrum

from spectok import load_model, simulate
from spectok.probes._novelty import novelty_reference
from spectok.training import RealSpectra, open_pack

# How many mocks of each, and the seed.
MOCKS = {
    "sdss": 240, "boss": 320, "desi": 320, "galah": 140, "apogee": 200, "apogee-visit": 60,
}  # fmt: skip
SEED = 5000
KEPT = {
    "snr": np.float32, "misfit": np.float32, "peak": np.float32, "vector": np.float16,
    "embedding": np.float16,  # where the model makes one
}  # fmt: skip


def spectra(wavelength, flux, sigma, valid):
    """Arrays of shape (L,) or (N, L) as a spectrum, or the arms of one."""
    # Arms may overlap, and a Spectrum ascends.
    starts = np.flatnonzero(np.diff(wavelength) <= 0) + 1
    return [
        Spectrum(
            flux=flux[..., part] * u.one,
            spectral_axis=wavelength[part] * u.AA,
            uncertainty=InverseVariance(np.where(valid, sigma, np.inf)[..., part] ** -2.0),
            mask=~valid[..., part],
        )
        for part in np.split(np.arange(wavelength.size), starts)
    ]


def mocks(name, templates, n):
    """Arms of the mocks of an instrument, at the S/N of the survey and at any."""
    simulator = simulate.Simulator(name, templates=templates)
    for seed, number, snr in ((SEED, n - n // 4, None), (SEED + 1, n // 4, (1.0, 200.0))):
        (seen,) = simulator.observe(number, seed=seed, snr=snr)
        arrays = (a.numpy() for a in (seen.flux.double(), seen.sigma.double(), seen.valid.bool()))
        yield spectra(seen.instrument.wavelength, *arrays)


def measured(name, options):
    """What is compared of the mocks of an instrument, or, for "real", of real spectra."""
    model = load_model(options.model)
    if name == "real":
        source = RealSpectra(open_pack(options.train))
        number = sum(len(rows) for rows in source.rows.values())
        objects = [spectra(*map(np.asarray, source.spectrum(row))) for row in range(number)]
    else:
        objects = list(mocks(name, simulate.load_templates(options.templates), MOCKS[name]))
    # Some mocks have too little of a template to make a patch: they are left out.
    warnings.filterwarnings("ignore", "[0-9]+ of [0-9]+ spectra have")
    table = novelty_reference(objects, model=model, arms=True)
    return table[table["valid"]]


def save(tables, output):
    """Write the reference."""
    arrays = {
        key: np.concatenate([np.asarray(table[key]) for table in tables]).astype(kind)
        for key, kind in KEPT.items()
        if key in tables[0].colnames
    }
    meta = tables[0].meta
    output = output or f"{meta['MODEL']}.safetensors"
    about = {"model": meta["MODEL"], "sha256": meta["SHA256"], "spectra": str(len(arrays["snr"]))}
    save_file(arrays, output, metadata=about)
    print(f"{output}: {about['spectra']} spectra")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--templates", required=True)
    parser.add_argument("--train", required=True)
    parser.add_argument("--model", default=None)
    parser.add_argument("--output", default=None)
    options = parser.parse_args()
    save([measured(name, options) for name in (*MOCKS, "real")], options.output)


if __name__ == "__main__":
    main()
