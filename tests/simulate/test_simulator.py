"""The same objects through one or more instruments, by the thousand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from astropy.utils.exceptions import AstropyDeprecationWarning

from spectok import simulate
from spectok.simulate._fine_grid import FINE
from spectok.simulate.instruments._instrument import Instrument
from spectok.simulate.objects._templates import Templates

ARRAYS = ("truth", "flux", "sigma", "true_sigma", "valid", "level", "family")
LIGHT = 299792.458


def same(first, second, rows=slice(None)):
    pairs = [(getattr(first, name), getattr(second, name)) for name in ARRAYS]
    pairs += [
        (first.labels[k].nan_to_num(-9), second.labels[k].nan_to_num(-9)) for k in first.labels
    ]
    return all(torch.equal(a[rows], b[rows]) for a, b in pairs)


def rebinned(fine, coarse, flux):
    """Mean flux density in other pixels, and where the finer ones cover them whole."""
    low, high = fine.edges()
    new_low, new_high = coarse.edges()
    shared = np.minimum(new_high[:, None], high) - np.maximum(new_low[:, None], low)
    shared = np.clip(shared, 0, None)
    width = shared.sum(1)
    covered = np.abs(width / (new_high - new_low) - 1) < 1e-6
    return flux @ (shared / np.maximum(width, 1e-9)[:, None]).T, covered


# seeds


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sdss", "galah", "apogee"])
def test_the_seed_fixes_everything(name):
    (first,), (again,) = (simulate.Simulator(name).observe(5, seed=3) for _ in range(2))
    assert same(first, again)


@pytest.mark.slow
def test_the_first_of_many_are_those_of_few():
    simulator = simulate.Simulator("sdss", "boss")
    many = simulator.observe(150, seed=8)
    for n in (1, 64, 65, 130):
        few = simulator.observe(n, seed=8)
        for one, other in zip(few, many, strict=True):
            assert len(one.flux) == n and same(one, other[:n])


@pytest.mark.slow
def test_seeds_share_nothing():
    simulator = simulate.Simulator("sdss", kind="quasar")
    redshift = [
        value
        for seed in (0, 1, 2, 3, 100, 2**31)
        for value in simulator.observe(130, seed=seed)[0].labels["redshift"].tolist()
    ]
    assert len(set(redshift)) == 6 * 130


def test_a_generator_goes_on():
    simulator = simulate.Simulator("sdss")
    generator = torch.Generator().manual_seed(1)
    (first,), (second,) = simulator.draw(8, generator), simulator.draw(8, generator)
    assert not torch.equal(first.flux, second.flux)
    (again,) = simulator.draw(8, torch.Generator().manual_seed(1))
    assert same(first, again)


def test_any_number_at_once():
    (seen,) = simulate.Simulator("sdss").draw(3, torch.Generator().manual_seed(2))
    assert seen.flux.shape == (3, 3840) and len(seen.families) == 3


# kinds and labels


@pytest.mark.parametrize("kind", ["galaxy", "quasar", "star"])
def test_kinds(kind):
    (seen,) = simulate.Simulator("desi", kind=kind).observe(70, seed=1)
    name = {"galaxy": "galaxies"}.get(kind, kind)
    assert all(name in family for family in seen.families)
    redshift = seen.labels["redshift"]
    if kind == "star":
        assert redshift.abs().max() < 0.003 and torch.isfinite(seen.labels["teff"]).all()
    else:
        assert redshift.min() > 0.01 and torch.isnan(seen.labels["teff"]).all()


@pytest.mark.slow
def test_all_kinds_are_mixed():
    (seen,) = simulate.Simulator("desi").observe(640, seed=1)
    share = torch.bincount(seen.labels["kind"].long(), minlength=3) / 640
    expected = (0.4, 0.3, 0.3)
    assert share.tolist() == pytest.approx(expected, abs=5 * 0.5 / math.sqrt(640))
    # Kinds do not stand one after the other.
    assert seen.labels["kind"][:64].diff().ne(0).sum() > 20


@pytest.mark.slow
def test_apstar_is_at_rest_and_other_spectra_are_not():
    def spread(name):
        (seen,) = simulate.Simulator(name).observe(256, seed=1)
        return float(seen.labels["redshift"].std()) * LIGHT

    assert spread("apogee") < 1 < 30 < spread("apogee-visit")
    smaller = simulate.instrument("apogee-visit").modified(window=(15200.0, 15700.0))
    assert spread(smaller) > 30
    rest = simulate.instrument("apogee").modified(window=(15200.0, 15700.0))
    assert spread(rest) < 1


@pytest.mark.parametrize(
    ("name", "fine"), [("sdss", "optical"), ("galah", "hermes"), ("apogee-visit", "h")]
)
def test_a_line_stands_where_the_redshift_says(quiet, name, fine):
    instrument = quiet(simulate.instrument(name))
    line = {"optical": 5000.0, "hermes": 6600.0, "h": 15500.0}[fine]
    grid = FINE[fine]
    segments = [(a - 0.003, n + int(0.006 / grid.step)) for a, n in grid.segments]
    wavelength = np.concatenate([10 ** (a + grid.step * np.arange(n)) for a, n in segments])
    width = 3 * instrument.lsf.max()
    flux = 1 + np.exp(-0.5 * (np.log(wavelength / line) * LIGHT / width) ** 2)
    arrays = {
        "line.flux": torch.as_tensor(flux[None]).float(), "line.first": torch.tensor([0]),
        "line.last": torch.tensor([len(flux)]),
    }  # fmt: skip
    about = {"line": {
        "kind": "star", "form": "table", "fine": fine, "segments": segments, "step": grid.step,
        "weight": 1.0, "blur": 0.0, "source": "a line",
    }}  # fmt: skip
    simulator = simulate.Simulator(instrument, templates=Templates(arrays, about))
    (seen,) = simulator.observe(60, seed=1)
    redshift = seen.labels["redshift"].double().numpy()
    assert np.abs(redshift).max() * LIGHT > 100
    velocity = []
    for truth, z in zip(seen.truth.double().numpy(), redshift, strict=True):
        place = np.log(instrument.wavelength / line / (1 + z)) * LIGHT
        near, around = np.abs(place) < 5 * width, np.abs(place) < 9 * width
        outside = around & ~near
        excess = truth - np.polyval(np.polyfit(place[outside], truth[outside], 1), place)
        velocity.append((excess * place)[near].sum() / excess[near].sum())
    # One in five has extra lines, some of them here.
    off = np.abs(velocity)
    assert np.median(off) < 0.01 * width and np.percentile(off, 70) < 0.05 * width


# pairs


@pytest.mark.slow
@pytest.mark.parametrize("templates", ["formulas", "files"])
@pytest.mark.parametrize(
    ("name", "options"),
    [("desi", {"sampling": 3.0}), ("sdss", {"window": (4500.0, 7000.0), "sampling": 2.0}),
     ("apogee-visit", {"window": (15200.0, 15700.0), "sampling": 3.0})],
)  # fmt: skip
def test_pairs_are_the_same_objects(quiet, request, templates, name, options):
    made = None
    if templates == "files":
        names = {"apogee-visit": ("h-cannon", "h-btsettl")}
        names = names.get(name, ("star-kesseli", "galaxy-mastar"))
        made = request.getfixturevalue("real_templates")(*names)
    fine = quiet(simulate.instrument(name))
    coarse = fine.modified(**options)
    first, second = simulate.Simulator(fine, coarse, templates=made).observe(48, seed=5)
    for key in first.labels:
        if key != "snr":
            torch.testing.assert_close(
                first.labels[key], second.labels[key], rtol=0, atol=0, equal_nan=True
            )
    assert first.families == second.families and torch.equal(first.level, second.level)
    # A pixel's flux is a mean over the pixel, so coarse pixels are means of fine ones.
    expected, covered = rebinned(fine, coarse, first.truth.double().numpy())
    assert covered.mean() > 0.9
    off = (second.truth.double().numpy() - expected)[:, covered]
    off /= np.median(expected, axis=1, keepdims=True) + np.abs(expected[:, covered])
    assert np.abs(off).max() < 5e-3 and np.sqrt((off**2).mean()) < 1e-4


def test_pairs_of_surveys_see_the_same_flux(quiet):
    pair = [quiet(simulate.instrument(name)) for name in ("sdss", "desi")]
    sdss, desi = simulate.Simulator(*pair, kind="star").observe(48, seed=6)
    # Mean flux over 200 Angstrom: resolution hardly matters.
    for low in (4200.0, 5600.0, 7000.0, 8400.0):
        mean = []
        for one, seen in zip(pair, (sdss, desi), strict=True):
            inside = (one.wavelength > low) & (one.wavelength < low + 200)
            step = np.gradient(one.wavelength)[inside]
            mean.append((seen.truth[:, inside].double().numpy() * step).sum(1) / step.sum())
        np.testing.assert_allclose(mean[0], mean[1], rtol=0.01)


def test_noise_of_a_pair_is_its_own(quiet):
    instrument = quiet(simulate.instrument("sdss"))
    first, second = simulate.Simulator(instrument, instrument).observe(20, seed=7)
    torch.testing.assert_close(first.truth, second.truth)
    pulls = [((one.flux - one.truth) / one.sigma).flatten() for one in (first, second)]
    shared = float((pulls[0] * pulls[1]).mean())
    assert shared == pytest.approx(0, abs=5 / math.sqrt(len(pulls[0])))


def test_more_noise_means_less_signal_to_noise(quiet):
    instrument = quiet(simulate.instrument("desi"))
    noisy = instrument.modified(noise=3.0)
    first, second = simulate.Simulator(instrument, noisy).observe(30, seed=7, snr=20.0)
    ratio = first.labels["snr"] / second.labels["snr"]
    assert float(ratio.median()) == pytest.approx(3, rel=0.1)


# errors


@pytest.mark.parametrize(
    ("instruments", "options", "message"),
    [
        ((), {}, "at least one instrument"),
        (("gaia",), {}, "no instrument 'gaia'; choose one of sdss"),
        (("galah", "apogee"), {}, "galah, apogee do not observe the same wavelengths"),
        (("desi",), {"kind": "comet"}, "kind must be galaxy, quasar, star, not 'comet'"),
        (("galah",), {"kind": "quasar"}, "no template of kind 'quasar' for galah, .* star"),
    ],
)
def test_wrong_requests(instruments, options, message):
    with pytest.raises(ValueError, match=message):
        simulate.Simulator(*instruments, **options)


def test_templates_that_cover_no_instrument():
    with pytest.raises(ValueError, match="no template covers sdss"):
        simulate.Simulator("sdss", templates=Templates({}, {}))


def test_an_instrument_on_a_grid_that_no_template_has():
    old = simulate.instrument("sdss")
    own = replace(old, grid=replace(old.grid, step=3e-5))
    assert isinstance(own, Instrument)
    with pytest.raises(ValueError, match="grid"):
        simulate.Simulator(own)


@pytest.mark.parametrize("n", [0, -3])
def test_at_least_one_object(n):
    with pytest.raises(ValueError, match=f"at least 1, not {n}"):
        simulate.Simulator("sdss").observe(n)


@pytest.mark.parametrize("snr", [0.0, -3.0, float("nan"), float("inf"), (1.0, -1.0), (1.0,),
                                 (1.0, 2.0, 3.0)])  # fmt: skip
def test_signal_to_noise_must_be_positive(snr):
    with pytest.raises(ValueError, match="snr must be"):
        simulate.Simulator("sdss").observe(2, snr=snr)


# devices


def test_device():
    simulator = simulate.Simulator("sdss", device=torch.device("cpu"))
    assert simulator.device == torch.device("cpu")
    (seen,) = simulator.observe(2)
    assert all(getattr(seen, name).device.type == "cpu" for name in ARRAYS)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", ["desi", "galah", "apogee"])
def test_on_a_gpu(name):
    simulator = simulate.Simulator(name, device="cuda")
    (seen,), (again,) = simulator.observe(70, seed=1), simulator.observe(70, seed=1)
    assert same(seen, again)
    assert all(getattr(seen, key).device.type == "cuda" for key in ARRAYS)
    (cpu,) = simulate.Simulator(name).observe(70, seed=1)
    # Other random numbers, but the same world.
    for key in ("sigma", "truth"):
        ratio = getattr(seen, key).cpu().log().median() - getattr(cpu, key).log().median()
        assert abs(float(ratio)) < 1


# old names


def test_old_names_of_arguments_and_methods_work_for_one_release(generator):
    with pytest.warns(AstropyDeprecationWarning, match="strange is called extra_lines"):
        old = simulate.Simulator("sdss", strange=0.5)
    assert old.extra_lines == 0.5
    new = simulate.Simulator("sdss", extra_lines=0.5)
    expected = new.sample(3, generator(1), perturb=("velocity", 9.0))
    with pytest.warns(AstropyDeprecationWarning) as caught:
        found = old.scene(3, generator(1), nudge=("velocity", 9.0))
    said = " ".join(str(one.message) for one in caught)
    assert "scene is called sample" in said and "nudge is called perturb" in said
    assert all(one.filename == __file__ for one in caught if "scene" in str(one.message))
    assert torch.equal(found.flux, expected.flux)
    with pytest.warns(AstropyDeprecationWarning, match="scenes is called samples"):
        found = old.scenes(3, generator(2))[new.fine]
    assert torch.equal(found.flux, new.samples(3, generator(2))[new.fine].flux)
    with pytest.warns(AstropyDeprecationWarning, match="strange is called extra_lines"):
        assert old.strange == 0.5
    with pytest.raises(AttributeError, match="no attribute 'scenery'"):
        _ = old.scenery
    with pytest.raises(TypeError, match="give extra_lines, not extra_lines and strange"):
        simulate.Simulator("sdss", strange=0.5, extra_lines=0.1)


def test_the_old_name_of_a_width_works_for_one_release():
    instrument = simulate.instrument("sdss")
    with pytest.warns(AstropyDeprecationWarning, match="blurred is called lsf_sigma"):
        old = instrument.response(blurred=30.0, device=torch.device("cpu"))
    new = instrument.response(lsf_sigma=30.0, device=torch.device("cpu"))
    assert all(map(torch.equal, old, new))
