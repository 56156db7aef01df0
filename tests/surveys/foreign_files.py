"""Small files as other hands write them, for the tests of reading."""

import numpy as np
from astropy.io import fits

N = 200
DENSITY = "erg/s/cm2/Angstrom"


def flux(shape=N, seed=1):
    """Fluxes near 10 with a scatter of 1."""
    return np.random.default_rng(seed).normal(10, 1, shape)


def header_of(cards):
    """A FITS header of some cards; a tuple gives value and comment."""
    header = fits.Header()
    for key, value in cards.items():
        header[key] = value
    return header


def write_image(path, data, cards=(), *, extensions=(), primary=()):
    """Write an image, alone or (with extensions) after a primary header without data."""
    header = header_of(dict(cards))
    if extensions or primary:
        name = header.pop("EXTNAME", None)
        hdus = [fits.PrimaryHDU(header=header_of(dict(primary)))]
        hdus.append(fits.ImageHDU(data, header, name=name))
        for extension, values, more in extensions:
            hdus.append(fits.ImageHDU(values, header_of(dict(more)), name=extension))
    else:
        hdus = [fits.PrimaryHDU(data, header)]
    fits.HDUList(hdus).writeto(path)
    return path


def write_table(path, columns, *, cards=(), primary=(), name=None):
    """Write a binary table; columns are (name, format, unit, array)."""
    table = fits.BinTableHDU.from_columns(
        [fits.Column(n, form, unit=unit, array=array) for n, form, unit, array in columns],
        name=name,
    )
    table.header.update(header_of(dict(cards)))
    fits.HDUList([fits.PrimaryHDU(header=header_of(dict(primary))), table]).writeto(path)
    return path
