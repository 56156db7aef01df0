"""Plots: what is drawn, and on which axes."""

import warnings

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from astropy import units as u
from astropy.nddata import StdDevUncertainty
from astropy.table import QTable
from astropy.utils.exceptions import AstropyUserWarning
from astropy.visualization import quantity_support
from matplotlib import units as registered
from specutils import Spectrum

import spectok
from spectok import plotting, simulate
from spectok._convert import numbers_of


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")
    assert u.Quantity not in registered.registry, "quantity_support leaked into matplotlib"


@pytest.fixture(scope="module")
def spectrum():
    return simulate.observe("sdss", kind="star", snr=20)[0][:960]


@pytest.fixture(scope="module")
def tokens(spectrum, tiny):
    return spectok.encode(spectrum, model=tiny)


def test_reconstruction_shows_data_model_band_and_residuals(spectrum, tokens, tiny):
    again = spectok.decode(tokens, spectrum.spectral_axis, model=tiny)
    hidden = np.zeros(960, bool)
    hidden[100:112] = hidden[400:412] = True
    top, bottom = plotting.plot_reconstruction(spectrum, again, hidden=hidden, title="mock")
    labels = top.get_legend_handles_labels()[1]
    assert labels == [
        "data", "its error", "model ± 1σ", "reconstruction", "hidden from the encoder"
    ]  # fmt: skip
    drawn = next(line for line in top.lines if line.get_label() == "reconstruction")
    np.testing.assert_allclose(drawn.get_ydata(orig=False), again.flux.value)
    # Seen and hidden residuals are apart and together complete.
    seen, unseen = (line.get_ydata(orig=False) for line in bottom.lines[:2])
    good = ~np.asarray(spectrum.mask)
    assert np.isfinite(unseen).sum() == (hidden & good).sum()
    assert np.isfinite(seen).sum() == (~hidden & good).sum()
    assert "Å" in bottom.get_xlabel()
    assert top.get_title() == "mock"


def test_reconstruction_on_given_axes_makes_no_figure(spectrum, tokens, tiny):
    again = spectok.decode(tokens, spectrum.spectral_axis, model=tiny)
    _, axes = plt.subplots(2)
    before = plt.get_fignums()
    returned = plotting.plot_reconstruction(spectrum, again, axes=axes)
    assert plt.get_fignums() == before
    assert list(returned) == list(axes)


def test_arms_share_the_axes(spectrum, tiny):
    arms = [spectrum[:480], spectrum[480:]]
    tokens = spectok.encode(arms, arms=True, model=tiny)
    again = [spectok.decode(tokens, arm.spectral_axis, model=tiny) for arm in arms]
    top, _ = plotting.plot_reconstruction(arms, again)
    assert len(top.get_legend_handles_labels()[1]) == 4  # said once, not once an arm
    hidden = [np.arange(len(arm.flux)) < first for arm, first in zip(arms, (0, 50), strict=True)]
    top, _ = plotting.plot_reconstruction(arms, again, hidden=hidden)
    assert top.get_legend_handles_labels()[1].count("hidden from the encoder") == 1


def test_two_dimensional_spectra_are_refused(spectrum, tokens, tiny):
    again = spectok.decode(tokens, spectrum.spectral_axis[:100], model=tiny)
    with pytest.raises(ValueError, match="one-dimensional spectra"):
        plotting.plot_reconstruction(spectrum, again)
    with pytest.raises(ValueError, match="one of each for every arm"):
        plotting.plot_reconstruction([spectrum, spectrum], again)


def test_token_map(tokens):
    axes = plotting.plot_tokens(tokens)
    low, high = axes.get_xlim()
    # From edge to edge of the outer pixels, which are 1e-4 in log10 wide.
    assert low == pytest.approx(tokens["wavelength_min"].value.min() * 10**-0.5e-4, rel=1e-6)
    assert high == pytest.approx(tokens["wavelength_max"].value.max() * 10**0.5e-4, rel=1e-6)
    assert "30 tokens" in axes.get_title()
    columns = [image.get_array() for image in axes.collections]
    np.testing.assert_array_equal(np.stack(columns)[..., 0], tokens["token"])


def test_token_map_on_given_axes_in_micron(tokens):
    _, axes = plt.subplots()
    with quantity_support():
        axes.plot([0.3, 0.5] * u.micron, [0, 1])
    before = plt.get_fignums()
    assert plotting.plot_tokens(tokens, axes=axes, title="mine") is axes
    assert plt.get_fignums() == before
    assert axes.get_title() == "mine"
    assert axes.xaxis.get_units() == u.micron
    assert "µm" in axes.get_xlabel() or "μm" in axes.get_xlabel()
    assert axes.get_xlim()[0] == pytest.approx(0.38, abs=0.01)


def test_token_map_of_an_unknown_spectrum(tokens):
    with pytest.raises(ValueError, match="no valid token of spectrum 7"):
        plotting.plot_tokens(tokens, 7)


@pytest.fixture(scope="module")
def again(spectrum, tokens, tiny):
    return spectok.decode(tokens, spectrum.spectral_axis, model=tiny)


def test_axes_carry_units_outside_of_quantity_support(spectrum, again):
    top, bottom = plotting.plot_reconstruction(spectrum, again)
    assert top.xaxis.get_units() == bottom.xaxis.get_units() == u.AA
    assert top.yaxis.get_units() == spectrum.flux.unit
    assert bottom.yaxis.get_units() is None
    (line,) = top.plot(0.5 * np.ones(2) * u.micron, [1, 2] * u.Unit("1e-16 erg / (s cm2 AA)"))
    np.testing.assert_allclose(line.get_xdata(orig=False), 5000.0)
    np.testing.assert_allclose(line.get_ydata(orig=False), [10.0, 20.0])
    # Also beside a context of the caller's, without a word of two converters.
    with warnings.catch_warnings(), quantity_support():
        warnings.simplefilter("error")
        (line,) = bottom.plot([400.0] * u.nm, [0])
    np.testing.assert_allclose(line.get_xdata(orig=False), 4000.0)


def test_axes_keep_the_units_that_they_have(spectrum, again):
    _, axes = plt.subplots(2, sharex=True)
    with quantity_support():
        axes[0].plot([0.4] * u.micron, [1e-16] * u.Unit("erg / (s cm2 AA)"))
    top, bottom = plotting.plot_reconstruction(spectrum, again, axes=axes)
    data = next(line for line in top.lines if line.get_label() == "data")
    good = ~spectrum.mask
    wavelength, flux = (
        np.asarray(a)[good] for a in (data.get_xdata(orig=False), data.get_ydata(orig=False))
    )
    np.testing.assert_allclose(wavelength, spectrum.spectral_axis.to_value(u.micron)[good])
    np.testing.assert_allclose(flux, spectrum.flux.to_value("erg / (s cm2 AA)")[good])
    assert bottom.get_xlabel().startswith("vacuum wavelength [")
    assert top.xaxis.get_units() == bottom.xaxis.get_units() == u.micron
    assert "Å" not in bottom.get_xlabel()


def test_axes_of_another_kind_are_refused(spectrum, again):
    _, axes = plt.subplots(2)
    with quantity_support():
        axes[0].plot([1, 2] * u.AA, [1, 2] * u.K)
    with pytest.raises(ValueError, match="the axis is in K, but the flux is in 1e-17 erg"):
        plotting.plot_reconstruction(spectrum, again, axes=axes)
    with pytest.raises(ValueError, match="axes must be two"):
        plotting.plot_reconstruction(spectrum, again, axes=axes[0])


def in_unit(spectrum, unit):
    axis = u.Quantity(spectrum.spectral_axis).to(unit, u.spectral())
    return Spectrum(
        flux=spectrum.flux,
        spectral_axis=axis,
        uncertainty=spectrum.uncertainty,
        mask=spectrum.mask,
    )


@pytest.mark.parametrize(("unit", "drawn"), [(u.micron, u.micron), (u.THz, u.AA)])
def test_wavelengths_are_drawn_in_the_unit_of_the_spectrum(spectrum, again, unit, drawn):
    ones = [in_unit(one, unit) for one in (spectrum, again)]
    top, bottom = plotting.plot_reconstruction(*ones)
    assert top.xaxis.get_units() == drawn
    assert drawn.to_string("unicode") in bottom.get_xlabel()
    data = next(line for line in top.lines if line.get_label() == "data")
    np.testing.assert_allclose(
        data.get_xdata(orig=False), numbers_of(spectrum)[0] * u.AA.to(drawn), rtol=1e-9
    )


def reach_of(patch):
    """From where to where a shade goes: a polygon in matplotlib 3.8, a rectangle since."""
    x = patch.get_patch_transform().transform_path(patch.get_path()).vertices[:, 0]
    return x.min(), x.max()


@pytest.mark.parametrize("convention", ["optical", "radio", "relativistic"])
def test_velocity_axes_are_drawn_as_wavelengths(convention, tiny, make_arrays):
    _, flux, sigma = make_arrays(320)
    velocity = Spectrum(
        flux=flux * u.Jy, spectral_axis=np.linspace(-3000, 3000, 320) * u.km / u.s,
        velocity_convention=convention, rest_value=5000 * u.AA,
        uncertainty=StdDevUncertainty(sigma),
    )  # fmt: skip
    again = spectok.decode(
        spectok.encode(velocity, model=tiny), velocity.spectral_axis, model=tiny
    )
    top, bottom = plotting.plot_reconstruction(velocity, again)
    assert bottom.get_xlabel() == "vacuum wavelength [Å]"
    low, high = np.sort(top.lines[0].get_xdata().value[[0, -1]])
    # 3000 km/s are one per cent of the speed of light, and of 5000 Angstrom.
    assert low == pytest.approx(4950.0, abs=1.0) and high == pytest.approx(5050.0, abs=1.5)


def test_hidden_pixels_are_shaded_from_edge_to_edge(spectrum, again):
    hidden = np.zeros(960, bool)
    hidden[100:112] = hidden[400] = True
    top, bottom = plotting.plot_reconstruction(spectrum, again, hidden=hidden)
    x = spectrum.spectral_axis.value
    step = np.diff(x)
    wanted = [(x[100] - step[99] / 2, x[111] + step[110] / 2), (x[400] - step[399] / 2,) * 2]
    for axes in (top, bottom):
        spans = [reach_of(patch) for patch in axes.patches]
        assert len(spans) == 2
        np.testing.assert_allclose(spans[0], wanted[0], atol=1e-3)
        assert np.ptp(spans[1]) == pytest.approx(step[399], rel=1e-3)


def test_shading_leaves_gaps_alone_and_knows_descending_axes():
    x = np.r_[np.arange(5000.0, 5010.0), np.arange(6000.0, 6010.0)]
    flux = Spectrum(flux=np.ones(20) * u.mJy, spectral_axis=x[::-1] * u.AA)
    hidden = np.zeros(20, bool)
    hidden[:10] = True  # all beyond the gap
    top, _ = plotting.plot_reconstruction(flux, flux, hidden=hidden)
    (span,) = top.patches
    assert reach_of(span) == (5999.5, 6009.5)


def test_without_an_uncertainty_residuals_have_the_unit_of_the_flux(spectrum, again):
    bare = Spectrum(flux=spectrum.flux, spectral_axis=spectrum.spectral_axis, mask=spectrum.mask)
    top, bottom = plotting.plot_reconstruction(bare, again)
    good = ~spectrum.mask
    np.testing.assert_allclose(
        np.asarray(bottom.lines[0].get_ydata(orig=False))[good],
        (spectrum.flux - again.flux).value[good],
    )
    assert bottom.get_ylabel().startswith("residual [")
    assert "its error" not in top.get_legend_handles_labels()[1]


def test_errors_far_below_the_picture_are_not_in_the_legend():
    flux = 100 + np.sin(np.arange(64.0))
    bright = simulate.observe("sdss", kind="star", snr=20)[0][:64]
    bright = Spectrum(
        flux=flux * bright.flux.unit,
        spectral_axis=bright.spectral_axis,
        uncertainty=type(bright.uncertainty)(np.ones(64)),
    )
    top, _ = plotting.plot_reconstruction(bright, bright)
    assert top.get_ylim()[0] > 1
    assert "its error" not in top.get_legend_handles_labels()[1]


PLACES = np.random.default_rng(0).normal(size=(60, 2))


def test_map_of_a_quantity_has_its_unit():
    values = np.linspace(4000, 7000, 60) * u.K
    values[:5] = np.nan
    _, axes = plt.subplots()
    before = plt.get_fignums()
    assert plotting.plot_embedding(PLACES, values, label="Teff", method="UMAP", axes=axes) is axes
    assert plt.get_fignums() == before
    unknown, known = axes.collections
    assert len(unknown.get_offsets()) == 5
    np.testing.assert_array_equal(known.get_array(), values.value[5:])
    np.testing.assert_allclose(known.get_clim(), np.percentile(values.value[5:], (2, 98)))
    assert axes.figure.axes[1].get_ylabel() == "Teff [K]"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("UMAP 1", "UMAP 2")
    assert axes.get_legend().get_texts()[0].get_text() == "not known (5)"


def test_map_of_masked_numbers():
    values = np.ma.array(np.arange(60), mask=np.arange(60) < 7)
    axes = plotting.plot_embedding(PLACES, values)
    assert [len(one.get_offsets()) for one in axes.collections] == [7, 53]


def test_map_of_classes_tells_them_apart_by_colour_and_marker():
    classes = np.array([f"class {i % 10}" for i in range(60)], dtype=object)
    classes[:2] = None, ""
    axes = plotting.plot_embedding(PLACES, classes, title="mock")
    assert sum(len(one.get_offsets()) for one in axes.collections) == 60
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == ["class 0 (5)", "class 1 (5)", *(f"class {i} (6)" for i in range(2, 10))] + [
        "not known (2)"
    ]
    looks = {
        (tuple(one.get_facecolor()[0]), one.get_paths()[0].vertices.tobytes())
        for one in axes.collections
    }
    assert len(looks) == 11


def test_map_of_places_alone():
    (points,) = plotting.plot_embedding(PLACES).collections
    np.testing.assert_array_equal(points.get_offsets(), PLACES)


@pytest.mark.parametrize(
    ("places", "values", "message"),
    [
        (np.zeros((5, 3)), None, r"must have the shape \(N, 2\)"),
        (PLACES, np.zeros(5), "60 places, but values of shape"),
        (PLACES, np.full(60, np.nan), "not one of the values is known"),
        (np.zeros((70, 2)), [f"{i}" for i in range(70)], "70 classes cannot be told apart"),
    ],
)
def test_maps_that_cannot_be_drawn(places, values, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot_embedding(places, values)


def test_a_table_of_embeddings_is_no_map():
    table = QTable({"embedding": np.zeros((60, 8), np.float32)})
    with pytest.raises(TypeError, match=r"not a table.*fit_transform\(table\[.embedding.\]\)"):
        plotting.plot_embedding(table)


def test_labels_against_truth():
    rng = np.random.default_rng(1)
    true = rng.uniform(4000, 7000, 500)
    difference = rng.normal(20, 100, 500)
    true[0] = np.nan
    top, bottom = plotting.plot_labels(
        true * u.K, (true + difference) / 1000 * u.kK, error=np.full(500, 0.1) * u.kK, label="Teff"
    )
    for axis in (top.xaxis, top.yaxis, bottom.xaxis, bottom.yaxis):
        assert axis.get_units() == u.K
    assert bottom.get_ylabel() == "difference [K]"
    assert top.get_ylabel() == "predicted Teff [K]"
    (points,) = (one for one in top.containers if len(one[0].get_xdata(orig=False)) > 2)
    np.testing.assert_allclose(points[0].get_ydata(orig=False), (true + difference)[1:])
    text = top.get_legend_handles_labels()[1][0]
    kept = difference[1:]
    median = np.median(kept)
    scatter = 1.4826 * np.median(np.abs(kept - median))
    median, scatter = (float(f"{value:.2g}") for value in (median, scatter))
    assert text == (
        f"499 spectra: median {median:+g} K, scatter {scatter:g} K\n"
        f"{np.mean(np.abs(kept) < 100):.0%} within their stated error"
    )
    # What does not fit stands at the edge: nothing is lost.
    shown = sum(len(one[0].get_xdata(orig=False)) for one in bottom.containers)
    edge = sum(
        len(line.get_xdata(orig=False)) for line in bottom.lines if line.get_marker() in "^v"
    )
    assert edge > 0 and shown + edge == 499


def test_labels_in_dex_and_without_a_unit():
    surface = u.dex(u.cm / u.s**2)
    apart = np.array([-0.25, 0.0, 0.25, 0.5, 0.75])
    top, bottom = plotting.plot_labels(
        np.arange(5.0) * surface, (np.arange(5.0) + apart) * surface, error=np.ones(5) * u.dex
    )
    text = top.get_legend_handles_labels()[1][0]
    assert text == (
        "5 spectra: median +0.25 dex, scatter 0.37 dex\n100% within their stated error"
    )
    assert bottom.get_ylabel() == "difference [dex]"
    _, axes = plt.subplots(2)
    given = plotting.plot_labels([0.1, 0.2], [0.1, 0.3], label="redshift", axes=axes)
    assert list(given) == list(axes)
    assert axes[1].get_xlabel() == "true redshift"


def test_labels_in_magnitudes():
    true = np.arange(5.0) * u.ABmag
    top, bottom = plotting.plot_labels(true, true + 0.5 * u.mag)
    assert "median +0.5 mag" in top.get_legend_handles_labels()[1][0]
    assert bottom.get_ylabel() == "difference [mag]"


def test_labels_of_pandas_and_infinite_errors():
    pandas = pytest.importorskip("pandas")
    true = pandas.Series([1.0, 2.0, 3.0])
    top, _ = plotting.plot_labels(true, true + 1, error=[0.5, np.inf, 0.5])
    top.figure.canvas.draw()
    assert "3 spectra: median +1" in top.get_legend_handles_labels()[1][0]


@pytest.mark.parametrize("which", range(3))
def test_labels_some_of_which_have_a_unit(which):
    given = [np.arange(1.0, 4.0) * u.K] * 3
    given[which] = given[which].value
    with pytest.raises(ValueError, match="some have a unit and some none"):
        plotting.plot_labels(*given[:2], error=given[2])


def test_labels_that_cannot_be_drawn():
    with pytest.raises(ValueError, match="have the shapes"):
        plotting.plot_labels(np.ones(3), np.ones(4))
    with pytest.raises(ValueError, match="not one spectrum has"):
        plotting.plot_labels([np.nan, 1], [1, np.nan])
    with pytest.raises(u.UnitConversionError):
        plotting.plot_labels([1] * u.K, [1] * u.m)


@pytest.mark.parametrize(
    "kinds",
    [
        np.array([b"STAR", b"STAR", b"QSO", b""]),
        np.array(["STAR", "STAR", "QSO", np.nan], dtype=object),
        np.array(["STAR", "STAR", "QSO", None], dtype=object),
        np.ma.array(["STAR", "STAR", "QSO", "STAR"], mask=[False, False, False, True]),
    ],
)
def test_classes_as_files_have_them(kinds):
    axes = plotting.plot_embedding(np.arange(8.0).reshape(4, 2), kinds)
    said = [text.get_text() for text in axes.get_legend().get_texts()]
    assert said == ["QSO (1)", "STAR (2)", "not known (1)"]


def test_classes_of_masked_truths_and_of_pandas():
    pandas = pytest.importorskip("pandas")
    places = np.arange(6.0).reshape(3, 2)
    truth = np.ma.array([True, False, True], mask=[False, False, True])
    said = plotting.plot_embedding(places, truth).get_legend().get_texts()
    assert [text.get_text() for text in said] == ["False (1)", "True (1)", "not known (1)"]
    axes = plotting.plot_embedding(places, pandas.Series([1.0, 2.0, 3.0]), label="age")
    assert axes.figure.axes[1].get_ylabel() == "age"


def test_places_that_are_not_finite():
    places = np.array([[0.0, 1.0], [np.nan, 1.0], [2.0, 3.0]])
    with pytest.warns(AstropyUserWarning, match="1 of 3 coordinates are not finite"):
        axes = plotting.plot_embedding(places, ["a", "a", "b"])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a (1)", "b (1)"]
