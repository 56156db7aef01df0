"""Features of transients, against decoding one curve at a time."""

import numpy as np
import pytest
from astropy import units as u
from astropy.utils.exceptions import AstropyUserWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import spectok
from spectok import probes
from spectok.probes import _transients
from spectok.simulate import lightcurves

BANDS = ("g", "r", "i", "z")


@pytest.fixture(scope="module")
def mock():
    return lightcurves.observe("des", 80, kinds=["Ia", "IIP"], seed=5)


@pytest.fixture(scope="module")
def tokens(mock):
    ivar = [sigma**-2 for sigma in mock.sigma]
    return spectok.encode_arrays(mock.time, mock.flux, ivar, band=mock.band, progress=False,
                                 model="lightcurve-v1")  # fmt: skip


@pytest.fixture(scope="module")
def table(tokens):
    return probes.transient_features(tokens, progress=False)


def test_the_bands_are_those_that_decode_gives(tokens, table):
    one = tokens[tokens["spectrum_index"] == 3]
    size = spectok.load_model("lightcurve-v1").config
    start = size.embedding_size + 2 * size.token_size
    days = _transients._DAYS
    relative = table["features"][3, start : start + 4 * len(days)].reshape(4, -1)
    asked = table["maximum"][3] + days * u.d
    decoded = [spectok.decode(one, asked, band=band) for band in BANDS]
    at = np.argmin(abs(days))
    height = max(curve["flux"][at] for curve in decoded)
    for row, curve in zip(relative, decoded, strict=True):
        here = ~np.asarray(curve["mask"])
        assert here.sum() > 5
        # Not exactly: patches that are asked for together look at each other.
        assert np.allclose(row[here], (curve["flux"] / height)[here], rtol=0.05, atol=0.05)
    assert np.isclose(relative[:, at].max(), 1.0, atol=1e-4)


def test_one_row_each_in_the_order_of_the_table(tokens, table):
    index = np.unique(tokens["spectrum_index"])
    assert list(table["spectrum_index"]) == list(index)
    some = tokens[np.isin(tokens["spectrum_index"], [4, 60])]
    again = probes.transient_features(some, progress=False)
    assert np.allclose(again["features"], table["features"][[4, 60]], rtol=1e-3, atol=1e-3)
    assert list(again["object_id"]) == list(table["object_id"][[4, 60]])


def test_the_maximum_does_not_depend_on_where_time_begins(mock, tokens, table):
    ivar = [sigma**-2 for sigma in mock.sigma[:5]]
    later = spectok.encode_arrays([t + 5000.0 for t in mock.time[:5]], mock.flux[:5], ivar,
                                  band=mock.band[:5], model="lightcurve-v1")  # fmt: skip
    again = probes.transient_features(later)
    assert np.allclose(again["maximum"] - table["maximum"][:5], 5000 * u.d, atol=1e-3 * u.d)
    assert np.allclose(again["features"], table["features"][:5], rtol=1e-3, atol=1e-3)


def test_a_classifier_reads_them(mock, table):
    x, y = table["features"], mock.kind == "Ia"
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01)).fit(x[:50], y[:50])
    chance = max(y[50:].mean(), 1 - y[50:].mean())
    assert probe.score(x[50:], y[50:]) > chance


def test_a_curve_without_a_valid_token_has_zeros(mock):
    flux = [mock.flux[0], np.full(12, np.nan)]
    with pytest.warns(AstropyUserWarning, match="no valid token"):
        tokens = spectok.encode_arrays(
            [mock.time[0], np.arange(12.0)], flux, [mock.sigma[0] ** -2, np.ones(12)],
            band=[mock.band[0], np.full(12, 6410.0)], model="lightcurve-v1", errors="row",
        )  # fmt: skip
    table = probes.transient_features(tokens)
    assert len(table) == 2 and table["n_valid"][1] == 0
    assert not table["features"][1].any() and np.isnan(table["maximum"][1])
    assert np.isfinite(table["features"]).all() and table["features"][0].any()


def test_what_is_refused(tokens):
    with pytest.raises(ValueError, match="two filters or more"):
        probes.transient_features(tokens, bands=["g"])
    wave = np.linspace(4000, 5000, 200)
    spectrum = spectok.encode_arrays(wave, np.ones(200), np.ones(200))
    with pytest.raises(ValueError, match="small-v1"):
        probes.transient_features(spectrum)
