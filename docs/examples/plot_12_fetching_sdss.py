"""
Fetching SDSS spectra
=====================

``spectok.surveys.sdss.fetch`` gets *real* spectra of SDSS, BOSS and eBOSS from the public archive
through astroquery. It needs a network, so this example is shown here and not run.
"""

# sphinx_gallery_thumbnail_path = 'images/realism-sdss.png'
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table

import spectok
from spectok import plotting
from spectok.surveys import sdss

# %%
# One spectrum, by its numbers
# ----------------------------
# Plate, date and fibre:

(spectrum,) = sdss.fetch(751, 52251, 160)
print(spectrum.meta["object_id"], spectrum.meta["label"]["class"], spectrum.meta["label"]["z"])

tokens = spectok.encode(spectrum)
again = spectok.decode(tokens, spectrum.spectral_axis)
title = f"real SDSS spectrum {spectrum.meta['object_id']}"
plotting.plot_reconstruction(spectrum, again, title=title)

# %%
# Around places on the sky
# ------------------------
# All spectra within the radius, the nearest first:

places = SkyCoord(["0h8m05.63s +14d50m23.3s", "2h2m23.4s -0d1m12s"])
spectra = sdss.fetch(places, radius=5 * u.arcsec, data_release=17)
for one in spectra:
    print(one.meta["row"], one.meta["object_id"])  # row: which of the places

# %%
# Many, from a table
# ------------------
# Columns plate, mjd and fiberID; with a column run2d no catalogue is asked. What cannot be
# fetched is left out and named in one warning at the end. Files stay in astropy's cache: call
# again, and only what is missing is fetched. ``row`` says which rows of the table came, so
# labels can be joined.

sample = Table(
    {"plate": [751, 751, 266], "mjd": [52251, 52251, 51602], "fiberID": [160, 161, 31]},
)
spectra = sdss.fetch(sample)
sample = sample[[one.meta["row"] for one in spectra]]
sample["z"] = [one.meta["label"]["z"] for one in spectra]

tokens = spectok.encode(spectra)
vectors = spectok.embed(tokens)  # one row per spectrum, as in sample
tokens.write("sdss_tokens.parquet", overwrite=True)
