"""Tokens of small-v1, and what is decoded of them, are those of the release that brought it.

The reference values, float32 in ``reference/small-v1.npz``, were computed with spectok 0.1.0 and
torch 2.13 on a processor with AVX-512 by this file run as a script. A change of the code must
not change what the weights mean: whoever moves lines compares the bits of before and after on
one machine (``python tests/test_pinned.py NEW.npz``); this test holds on any.
"""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import InverseVariance
from specutils import Spectrum

import spectok

REFERENCE = Path(__file__).parent / "reference" / "small-v1.npz"
SHA256 = "2335837833b2"  # of the weights, its beginning
# The SDSS-like case: the first four cosines of its first token, and the noise of its last one.
FIRST = [3.0077136, -0.0322137, -0.0017983, -0.0041701]
LAST_NOISE = -3.0533447
UNIT = u.Unit("1e-17 erg / (s cm2 AA)")


encode = partial(spectok.encode, model="small-v1")


def observed(wavelength, snr, seed):
    """A falling continuum with lines up and down, and noise from numpy's frozen generator."""
    rng = np.random.RandomState(seed)
    place = (wavelength - wavelength[0]) / (wavelength[-1] - wavelength[0])
    flux = 12.0 - 5.0 * place + np.sin(9.0 * place)
    for centre, depth in ((0.21, 4.0), (0.38, -2.5), (0.39, -2.0), (0.8, 7.0)):
        flux += depth * np.exp(-0.5 * ((place - centre) / 0.0012) ** 2)
    sigma = flux.mean() / snr * (1.0 + 0.3 * np.cos(15.0 * place))
    return Spectrum(
        flux=(flux + sigma * rng.normal(size=flux.size)) * UNIT,
        spectral_axis=wavelength * u.AA,
        uncertainty=InverseVariance(sigma**-2 / UNIT**2),
        mask=np.zeros(flux.size, bool),
    )


def sdss():
    return encode(observed(10 ** (3.58 + 1e-4 * np.arange(1500)), 12.0, 1))


def desi_arms():
    blue, red = 3600.0 + 0.8 * np.arange(500), 3968.0 + 0.8 * np.arange(450)
    return encode([observed(blue, 2.0, 2), observed(red, 5.0, 3)], arms=True)


def galah_air():
    return encode(observed(6478.0 + 0.063 * np.arange(700), 80.0, 4), medium="air")


def apogee_gaps():
    wavelength = 10 ** (4.2 + 6e-6 * np.arange(1800))
    seen = np.ones(1800, bool)
    seen[600:760] = seen[1203:1390] = False
    return encode(observed(wavelength[seen], 150.0, 5))


def masked():
    spectrum = observed(10 ** (3.7 + 1e-4 * np.arange(900)), 0.4, 6)
    spectrum.mask[np.random.RandomState(7).random_sample(900) < 0.2] = True
    spectrum.mask[300:380] = True
    return encode(spectrum)


CASES = {one.__name__: one for one in (sdss, desi_arms, galah_air, apogee_gaps, masked)}
# Where they are decoded: other grids than they came on.
GRIDS = {
    "sdss": np.linspace(3820.0, 5300.0, 400),
    "desi_arms": np.linspace(3610.0, 4320.0, 400),
    "galah_air": np.linspace(6481.0, 6521.0, 300),
    "apogee_gaps": np.linspace(15860.0, 16230.0, 400),
    "masked": np.linspace(5020.0, 6150.0, 300),
}


def compute(name):
    """Tokens, decoded flux and its error of one case."""
    tokens = CASES[name]()
    again = spectok.decode(tokens, GRIDS[name] * u.AA, medium="vacuum")
    parts = {
        "token": tokens["token"],
        "flux": again.flux.value,
        "sigma": again.uncertainty.array,
        "wavelength": tokens["wavelength"].value,
        "scale": tokens["scale"].value[:1],
    }
    return {f"{name}.{key}": np.asarray(part) for key, part in parts.items()}


@pytest.fixture(scope="module")
def reference():
    with np.load(REFERENCE) as stored:
        return dict(stored)


@pytest.mark.parametrize("name", CASES)
def test_tokens_and_spectra_stay(name, reference):
    found = compute(name)
    assert found
    for key, value in found.items():
        expected = reference[key].astype(np.float64)
        assert value.shape == expected.shape, key
        seen = np.isfinite(expected)
        np.testing.assert_array_equal(np.isfinite(value), seen, err_msg=key)
        rms = np.sqrt((expected[seen] ** 2).mean())
        # Errors are exponentials: far from the next token those of one processor differ by up to
        # 4e-5 between its instruction sets (ATEN_CPU_CAPABILITY, ONEDNN_MAX_CPU_ISA).
        limit = 1e-4 if key.endswith("sigma") else 1e-5
        assert np.abs(value[seen] - expected[seen]).max() <= limit * rms, key


def test_numbers_that_a_reader_can_see():
    tokens = CASES["sdss"]()
    assert tokens.meta["MODEL"] == "small-v1" and tokens.meta["SHA256"].startswith(SHA256)
    np.testing.assert_allclose(tokens["token"][0, :4], FIRST, rtol=0, atol=5e-5)
    np.testing.assert_allclose(tokens["token"][-1, -1], LAST_NOISE, rtol=0, atol=5e-5)


if __name__ == "__main__":
    found = {key: value for name in CASES for key, value in compute(name).items()}
    # Tokens are float32 already.
    np.savez_compressed(sys.argv[1], **{k: v.astype(np.float32) for k, v in found.items()})
