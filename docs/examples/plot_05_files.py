"""
Tokens in files
===============

A token table is an astropy table: it goes to Parquet, FITS or ECSV and comes back with its units
and with the name and checksum of the model that made it, so that it can be decoded years
later. The spectra are *mocks* of SDSS.
"""

import tempfile
from pathlib import Path

import numpy as np
from astropy.table import QTable

import spectok
from spectok import plotting, simulate

# %%
# Write
# -----
# The suffix of the file says the format. Parquet needs ``pip install ".[tables]"``.

spectra = simulate.observe("sdss", 20, kind="galaxy", snr=(5, 20), seed=5)
tokens = spectok.encode(spectra)

folder = tempfile.TemporaryDirectory()
paths = [Path(folder.name) / f"tokens.{suffix}" for suffix in ("parquet", "fits", "ecsv")]
print(f"{len(tokens)} tokens of {len(spectra)} spectra")
for path in paths:
    tokens.write(path)
    print(f"{path.name:>14}: {path.stat().st_size / 1e3:5.0f} kB")

# %%
# Read
# ----
# Every column comes back to the last bit, with its unit. FITS hands over text as bytes, which
# decoding takes, too.

for path in paths:
    again = QTable.read(path)
    again.convert_bytestring_to_unicode()
    same = all(np.array_equal(again[name], tokens[name]) for name in tokens.colnames)
    print(
        f"{path.name:>14}: {len(again)} rows, same: {same}, unit of scale: {again['scale'].unit}"
    )

# %%
# What the table says of its model and of the unit of the spectra stands in its ``meta``:

for key, value in again.meta.items():
    print(f"{key:>8}: {value}")

# %%
# Decode what was read
# --------------------
# The model is found by its name, and its weights are checked.

tokens = QTable.read(paths[0])
one = tokens[tokens["spectrum_index"] == 3]
spectrum = spectra[3]
decoded = spectok.decode(one, spectrum.spectral_axis)
title = "mock SDSS galaxy, decoded from tokens in a Parquet file"
top, bottom = plotting.plot_reconstruction(spectrum, decoded, title=title)

# %%
# Its tokens themselves, one column for each patch of 32 pixels:

ax = plotting.plot_tokens(tokens, 3, title="mock SDSS galaxy, its 120 tokens")

# %%
# Tokens of other weights are refused
# -----------------------------------
# Numbers from different weights mean different things. A table that names others than those that
# are asked to decode it is an error, and so is one that lost its ``meta``.

tokens.meta["SHA256"] = 64 * "0"
try:
    spectok.decode(tokens, spectrum.spectral_axis)
except ValueError as error:
    print(error)

folder.cleanup()
