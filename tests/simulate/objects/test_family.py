"""Template families: drawing, emulating, and placing at a redshift."""

import numpy as np
import pytest
import torch
from astropy import units as u
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import CubicHermiteSpline, CubicSpline
from specutils.utils.wcs_utils import air_to_vac

from spectok.simulate._fine_grid import FINE, FineGrid
from spectok.simulate.objects._family import _COLUMNS, Drawn, Family

CPU = torch.device("cpu")
LIGHT = 299792.458
ONE = FineGrid(((3.6, 240),), 2.5e-5)
TWO = FineGrid(((3.6, 240), (3.7, 160)), 4e-6)
FORMS = tuple(_COLUMNS)


def family_of(toy, form, fine, **options):
    arrays, about = toy(form, fine, **options)
    return Family("toy", about, arrays, fine)


def expected_at(family, drawn, redshift):
    """The same by scipy: a cubic through each spectrum, its ends held, moved to a redshift.

    Catmull and Rom's cubic is Hermite's with the slope of the two neighbours.
    """
    out, offset = [], 0
    rows = drawn.flux.double().numpy()
    for (own, count), (start, points) in zip(
        family.grid.segments, family.fine.segments, strict=True
    ):
        room = count + 2 * family.pad
        part = rows[:, offset + family.pad : offset + family.pad + count]
        offset += room
        held = np.pad(part, ((0, 0), (family.pad + 50,) * 2), mode="edge")
        x = own + family.grid.step * (np.arange(held.shape[1]) - family.pad - 50)
        wanted = start + family.fine.step * np.arange(points)
        here = []
        for i, z in enumerate(redshift):
            row = (drawn.weights[i].double().numpy()[:, None] * held[drawn.rows[i]]).sum(0)
            spline = CubicHermiteSpline(x, row, np.gradient(row, family.grid.step))
            rest = np.clip(wanted - np.log10(1 + z), x[1], x[-2])
            here.append(spline(rest))
        out.append(np.array(here))
    return np.concatenate(out, 1)


def log_shift(redshift):
    return torch.log10(1 + torch.as_tensor(redshift, dtype=torch.float64))


# place


@pytest.mark.parametrize("phases", [1, 2, 4])
@pytest.mark.parametrize("fine", [ONE, TWO], ids=["one segment", "two segments"])
@pytest.mark.parametrize("form", FORMS)
def test_stars_at_any_velocity(toy, generator, form, fine, phases):
    family = family_of(toy, form, fine, phases=phases)
    drawn = family.draw(8, generator(1))
    # The fastest are six times the spread of the halo.
    redshift = np.array([0.0, 0.3, -7.1, 33.3, -120.0, 299.0, -719.0, 719.0]) / LIGHT
    seen = family.place(drawn, log_shift(redshift)).numpy()
    expected = expected_at(family, drawn, redshift)
    assert np.abs(seen - expected).max() < 3e-6 * np.abs(expected).max()
    assert np.ptp(expected) > 1


@pytest.mark.slow
@given(redshift=st.floats(0.0, 6.0), phases=st.sampled_from([1, 2, 4]), seed=st.integers(0, 99))
def test_galaxies_at_any_redshift(toy, redshift, phases, seed):
    fine = FineGrid(((3.6, 300),), 1e-3)
    family = family_of(toy, "table", fine, phases=phases, seed=seed, redshift=(0.0, 6.0), mix=2)
    drawn = family.draw(2, torch.Generator().manual_seed(seed))
    seen = family.place(drawn, log_shift([redshift, redshift / 2])).numpy()
    expected = expected_at(family, drawn, [redshift, redshift / 2])
    assert np.abs(seen - expected).max() < 3e-6 * np.abs(expected).max()


def test_beyond_its_range_a_spectrum_holds_its_end(toy):
    family = family_of(toy, "table", ONE, redshift=(0.0, 6.0))
    drawn = family.draw(2, torch.Generator().manual_seed(1))
    seen = family.place(drawn, log_shift([2.0, -0.6]))
    for i, end in ((0, 0), (1, -1)):
        row = drawn.flux[drawn.rows[i, 0], family.pad : -family.pad]
        torch.testing.assert_close(seen[i], row[end].float().expand(240), rtol=1e-6, atol=0)


def test_known_is_where_the_template_is(toy):
    family = family_of(toy, "table", ONE, phases=2, redshift=(0.0, 1.0), mix=2)
    drawn = family.draw(5, torch.Generator().manual_seed(2))
    z = np.array([0.0, 0.1, 0.2, 0.5, 1.0])
    low, high = family.known(drawn, log_shift(z))
    (start, count), step = family.grid.segments[0], 5e-5
    for i in range(5):
        # A mixture is known where all of its parts are.
        rows = drawn.rows[i]
        first = max(int(family.arrays["first"][k]) for k in rows)
        last = min(int(family.arrays["last"][k]) for k in rows)
        assert low[i] == pytest.approx(start + step * first + np.log10(1 + z[i]), abs=5e-7)
        assert high[i] == pytest.approx(start + step * (last - 1) + np.log10(1 + z[i]), abs=5e-7)
    whole = family_of(toy, "basis", TWO)
    low, high = whole.known(whole.draw(1, torch.Generator().manual_seed(1)), log_shift([0.0]))
    (start, _), (other, count) = whole.grid.segments
    assert float(low[0]) == pytest.approx(start)
    assert float(high[0]) == pytest.approx(other + 4e-6 * (count - 1))


def test_a_place_within_a_point_is_exact_in_position(toy):
    # A Gaussian of three points: its centre after a shift tells the place to a thousandth.
    fine = FineGrid(((3.6, 400),), 2.5e-5)
    x = 3.6 - 0.001 + 2.5e-5 * np.arange(480)
    flux = torch.as_tensor(np.exp(-0.5 * ((x - 3.605) / 7.5e-5) ** 2)[None]).float()
    whole = {"first": torch.tensor([0]), "last": torch.tensor([480])}
    about = {"kind": "star", "form": "table", "segments": [(3.599, 480)], "step": 2.5e-5}
    family = Family("line", about, {"flux": flux, **whole}, fine)
    velocity = np.linspace(-300, 300, 41)
    one = torch.ones(41, 1)
    drawn = Drawn(
        family.arrays["flux"], one.long() * 0, one, one.long() * 0, one.long(), {}, one.long()
    )
    seen = family.place(drawn, log_shift(velocity / LIGHT)).double().numpy()
    wanted = 3.6 + 2.5e-5 * np.arange(400)
    centre = (seen * wanted).sum(1) / seen.sum(1)
    off = (centre - 3.605 - np.log10(1 + velocity / LIGHT)) / 2.5e-5
    assert seen.shape == (41, 400) and np.abs(off).max() < 2e-3


# draw


def test_mixtures(toy, generator):
    family = family_of(toy, "table", ONE, mix=3, n=20)
    drawn = family.draw(500, generator(1))
    assert drawn.rows.shape == drawn.weights.shape == (500, 3)
    torch.testing.assert_close(drawn.weights.sum(1), torch.ones(500))
    assert set(drawn.rows.flatten().tolist()) == set(range(20))
    for i in (0, 77, 499):
        weight, row = drawn.weights[i], drawn.rows[i]
        assert drawn.entry[i] == row[weight.argmax()]
        mean = (weight[:, None] * family.arrays["labels"][row]).sum(0)
        assert drawn.labels["teff"][i] == pytest.approx(float(mean[0]), rel=1e-6)
        assert drawn.labels["logg"][i] == pytest.approx(float(mean[1]), rel=1e-6)


def test_a_single_template_is_taken_as_it_is(toy, generator):
    family = family_of(toy, "table", ONE, n=7)
    drawn = family.draw(100, generator(1))
    assert (drawn.weights == 1).all() and (drawn.entry == drawn.rows[:, 0]).all()
    torch.testing.assert_close(
        drawn.labels["teff"], family.arrays["labels"][drawn.entry, 0], rtol=0, atol=0
    )
    assert drawn.flux.dtype == torch.float16, "large tables are gathered, not converted"


def test_combinations_of_vectors_are_never_negative(toy, generator):
    arrays, about = toy("basis", ONE, mix=2)
    arrays["vectors"][0] -= 4
    drawn = Family("toy", about, arrays, ONE).draw(50, generator(1))
    assert drawn.flux.shape[0] == 50 and (drawn.flux == 0).any() and (drawn.flux >= 0).all()


@pytest.mark.parametrize("form", ["kernel", "quadratic", "network"])
def test_labels_are_drawn_around_real_ones(toy, generator, form):
    family = family_of(toy, form, ONE, n=50)
    drawn = family.draw(4000, generator(1))
    value = torch.stack([drawn.labels["teff"], drawn.labels["logg"]], 1)
    assert (value >= family.arrays["low"]).all() and (value <= family.arrays["high"]).all()
    inside = ((value > family.arrays["low"]) & (value < family.arrays["high"])).all(1)
    jitter = (value - family.arrays["labels"][drawn.entry])[inside] / family.arrays["jitter"]
    assert len(jitter) > 1000 and jitter.std(0) == pytest.approx(1, abs=0.15)
    torch.testing.assert_close(drawn.flux, family.emulate(value))


@pytest.mark.parametrize("form", ["kernel", "quadratic", "network"])
def test_a_perturbation_comes_after_the_draws(toy, generator, form):
    family = family_of(toy, form, ONE, n=50)
    drawn, perturbed = (
        family.draw(30, generator(1), perturb=perturb) for perturb in (None, ("logg", -0.5))
    )
    assert torch.equal(perturbed.entry, drawn.entry)
    assert torch.equal(perturbed.labels["teff"], drawn.labels["teff"].double())
    # Also of labels that were held at an end of their range.
    expected = drawn.labels["logg"].double() - 0.5 * family.arrays["jitter"][1].double()
    assert torch.equal(perturbed.labels["logg"], expected)
    assert (drawn.labels["logg"] == family.arrays["low"][1]).any()
    value = torch.stack([perturbed.labels["teff"], perturbed.labels["logg"]], 1)
    exact = {key: array.double() for key, array in family.arrays.items()}
    assert perturbed.flux.dtype == torch.float64, "a difference of spectra needs the digits"
    family.arrays = exact
    torch.testing.assert_close(perturbed.flux, family.emulate(value), rtol=1e-12, atol=1e-12)


def test_other_perturbations_change_no_label(toy, generator):
    family = family_of(toy, "network", ONE, n=50)
    drawn, perturbed = (
        family.draw(30, generator(1), perturb=perturb) for perturb in (None, ("velocity", 2.0))
    )
    torch.testing.assert_close(perturbed.flux.float(), drawn.flux, rtol=1e-5, atol=1e-5)
    table = family_of(toy, "table", ONE, n=50)
    drawn, perturbed = (
        table.draw(30, generator(1), perturb=perturb) for perturb in (None, ("teff", 2.0))
    )
    assert torch.equal(perturbed.rows, drawn.rows)
    assert torch.equal(perturbed.labels["teff"], drawn.labels["teff"])


# emulate


def plain(form, a, value):
    """The formulas in plain numpy and double precision, one spectrum at a time."""
    a = {key: np.asarray(array, dtype=float) for key, array in a.items()}
    if form == "kernel":
        x = (np.array([50400 / value[0], *value[1:]]) - a["centre"]) / a["width"]
        near = np.exp(-0.5 * ((x - a["nodes"]) ** 2).sum(1))
        return a["mean"] + near @ a["alpha"] @ a["vectors"]
    if form == "quadratic":
        x = value - a["pivot"]
        squares = [x[i] * x[j] for i in range(len(x)) for j in range(i, len(x))]
        return np.array([1.0, *x, *squares]) @ a["vectors"]
    s = (value - a["low_in"]) / (a["high_in"] - a["low_in"]) - 0.5
    hidden = 1 / (1 + np.exp(-np.einsum("hkp,k->hp", a["w0"], s) - a["b0"]))
    return np.einsum("hp,hp->p", a["w1"], hidden) + a["b1"]


@pytest.mark.parametrize("form", ["kernel", "quadratic", "network"])
def test_emulators_follow_their_formulas(toy, form):
    family = family_of(toy, form, ONE)
    arrays, _ = toy(form, ONE)
    value = torch.tensor([[5000.0, 4.2], [5123.0, 3.7], [4850.0, 4.45]])
    seen = family.emulate(value)[:, family.pad : -family.pad]
    for one, labels in zip(seen.numpy(), value.double().numpy(), strict=True):
        expected = plain(form, arrays, labels)
        assert np.abs(one - expected).max() < 2e-5 * np.abs(expected).max()


@pytest.mark.parametrize("form", ["kernel", "quadratic", "network"])
def test_emulators_are_differentiable(toy, form):
    fine = FineGrid(((3.6, 20),), 2.5e-5)
    arrays, about = toy(form, fine)
    arrays = {key: array.double() for key, array in arrays.items()}
    family = Family("toy", about, arrays, fine)

    def scaled(x):
        # Labels of order one, as finite differences like them.
        return family.emulate(x * torch.tensor([1000.0, 1.0], dtype=torch.float64))

    x = torch.tensor([[5.0, 4.2], [4.9, 3.9]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(scaled, (x,), eps=1e-6, rtol=1e-4, atol=1e-4)


# the real ones


def placed(real_templates, name, fine):
    (family,) = real_templates(name).families(fine, FINE[fine], CPU)
    return family


@pytest.mark.slow
def test_kernel_regression_gives_back_its_grid(real_templates, built, shared_data):
    family = placed(real_templates, "hermes-lte", "hermes")
    own, _ = built("hermes-lte")
    data = np.load(shared_data / "galah" / "generator" / "lte_hermes_grid.npz")
    labels = data["labels"].astype(float)
    some = slice(None, None, 20)
    seen = family.emulate(torch.as_tensor(labels[some]).float()).numpy()
    # The grid itself, in air, at the places of the family's columns; away from the ends.
    wavelength = air_to_vac(data["wave_air_A"] * u.AA).to_value(u.AA)
    flux, offset = data["flux_u16"][some] / 65535 * 1.1, 0
    for start, count in family.grid.segments:
        columns = np.arange(200, count - 200)
        here = 10 ** (start + 4e-6 * columns)
        expected = CubicSpline(wavelength, flux, axis=1)(here)
        found = seen[:, offset + family.pad + columns]
        offset += count + 2 * family.pad
        assert np.sqrt(((found - expected) ** 2).mean()) < 4e-4
        assert np.abs(found - expected).max() < 0.01
    exact = np.array([plain("kernel", own, x) for x in labels[some]])
    inner = np.concatenate(
        [np.arange(a + (2 * k + 1) * family.pad, b + (2 * k + 1) * family.pad)
         for k, (a, b) in enumerate(family.grid.bounds())]
    )  # fmt: skip
    off = seen[:, inner] - exact
    assert np.sqrt((off**2).mean()) < 2e-4 and np.abs(off).max() < 4e-3, "single precision"


@pytest.mark.parametrize(("name", "file"), [("h-payne-dwarfs", "normalized"),
                                            ("h-payne", "unnormalized")])  # fmt: skip
def test_the_paynes_networks(real_templates, shared_data, name, file):
    folder = shared_data / "apogee" / "generator"
    data = np.load(folder / f"payne_NN_{file}_spectra.npz")
    wavelength = np.load(folder / "apogee_wavelength_7214.npz")["wavelength"]
    family = placed(real_templates, name, "h")
    value = family.arrays["labels"][::500].double().numpy()
    seen = family.emulate(torch.as_tensor(value).float())[:, family.pad : -family.pad].numpy()
    columns = np.rint((np.log10(wavelength) - 4.179) / 6e-6).astype(int)
    for one, labels in zip(seen, value, strict=True):
        # As the MANIFEST of the data writes it.
        s = (labels - data["x_min"]) / (data["x_max"] - data["x_min"]) - 0.5
        h = 1 / (1 + np.exp(-np.einsum("ijk,k->ij", data["w_array_0"], s) - data["b_array_0"]))
        expected = np.einsum("ij,ij->i", data["w_array_1"], h) + data["b_array_1"]
        scale = np.median(one[columns] / expected)
        assert np.abs(one[columns] / scale - expected).max() < 1e-4 * expected.max()
    assert 0.3 < seen.min() and seen.max() < 2


def test_the_cannon(real_templates, shared_data):
    folder = shared_data / "apogee" / "generator"
    coefficients = np.loadtxt(folder / "cannon_bovy" / "trained_apokasc_gc_ind_feh_fix.txt")
    wavelength = np.load(folder / "apogee_wavelength_7214.npz")["wavelength"]
    columns = np.rint((np.log10(wavelength) - 4.179) / 6e-6).astype(int)
    family = placed(real_templates, "h-cannon", "h")
    for labels in ([4500.0, 2.0, -0.3, 0.05], [4900.0, 2.6, 0.1, 0.0], [4100.0, 1.2, -0.7, 0.2]):
        a, b, c, d = np.array(labels) - [4500, 2, -0.3, 0.05]
        terms = [1, a, b, c, d, a * a, a * b, a * c, a * d, b * b, b * c, b * d, c * c, c * d]
        expected = np.array([*terms, d * d]) @ coefficients
        seen = family.emulate(torch.tensor([labels]))[0, family.pad : -family.pad].numpy()
        np.testing.assert_allclose(seen[columns], expected, atol=2e-5)
        assert 0.4 < expected.min() and expected.max() < 1.15


def test_half_precision_costs_half_a_thousandth(real_templates, shared_data):
    data = np.load(shared_data / "templates" / "pyhammer" / "kesseli2017_templates.npz")
    family = placed(real_templates, "star-kesseli", "optical")
    flux = family.arrays["flux"][:, family.pad : -family.pad].double().numpy()
    first, last = family.arrays["first"].numpy(), family.arrays["last"].numpy()
    for row, one, a, b in zip(flux, data["flux"].astype(float), first, last, strict=True):
        expected = one / np.nanmedian(one)
        assert np.isfinite(expected[a:b]).all()
        bright = expected[a:b] > 0.01
        np.testing.assert_allclose(row[a:b][bright], expected[a:b][bright], rtol=2**-11)


# errors


def test_steps_must_fit(toy):
    arrays, about = toy("table", ONE)
    with pytest.raises(ValueError, match="toy: their step of 3e-05 dex is no whole multiple of 2"):
        Family("toy", {**about, "step": 3e-5}, arrays, ONE)


def test_segments_must_fit(toy):
    arrays, about = toy("table", ONE)
    with pytest.raises(ValueError, match="toy: 1 segments, but the fine grid has 2"):
        Family("toy", {**about, "step": 4e-6}, arrays, TWO)
