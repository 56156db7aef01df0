"""From template files to families: grids, wavelengths, and what is left out."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy import units as u
from astropy.io import fits
from astropy.nddata import InverseVariance
from astropy.utils.exceptions import AstropyUserWarning
from scipy.ndimage import gaussian_filter1d
from specutils import Spectrum

from spectok import simulate
from spectok._split import sky_split
from spectok.simulate._fine_grid import FINE
from spectok.simulate.objects._family import LABELS
from spectok.simulate.objects._registry import FILES
from spectok.simulate.objects._sources import _build, _optical, _stars
from spectok.simulate.objects._sources._build import training_models
from spectok.simulate.objects._sources._resampling import read_basis, resample, table, vacuum
from spectok.surveys import sdss

CPU = torch.device("cpu")
LIGHT = 299792.458
FAMILIES = {**_optical.FAMILIES, **_stars.FAMILIES}
# One of redrock's stars stands for the others, which are large.
SOME = [n for n in FAMILIES if n not in {f"star-redrock-{k}" for k in "ABFGM"}]


# grids


def test_a_grid_that_fits_is_kept():
    flux = np.random.default_rng(1).normal(size=(2, 100))
    seen = resample(10 ** (3.6 + 1e-4 * np.arange(100)), flux, 3.6005, 1e-4, 100)
    assert (seen[:, :95] == flux[:, 5:]).all() and np.isnan(seen[:, 95:]).all()


def test_coarser_spectra_follow_a_smooth_curve():
    wavelength = np.linspace(4000.0, 4400.0, 401)
    new = 3.6025 + 2.5e-5 * np.arange(1500)
    seen = resample(wavelength, np.sin(wavelength / 3.0), new[0], 2.5e-5, 1500)
    inside = (10**new > 4002) & (10**new < 4398)
    np.testing.assert_allclose(seen[inside], np.sin(10 ** new[inside] / 3.0), atol=2e-3)
    assert np.isnan(seen[10**new > 4400]).all()


def test_finer_spectra_are_averaged():
    rng = np.random.default_rng(2)
    old = 3.6 + 1e-6 * np.arange(40000)
    flux = rng.normal(size=(3, 40000))
    seen = resample(10**old, flux, 3.6, 1e-4, 420)
    known = np.isfinite(seen[0])
    assert known.sum() == pytest.approx(399, abs=1) and not known[0] and not known[-1]
    # The mean of a hundred points, not one of them.
    assert seen[:, known].std() == pytest.approx(0.1, rel=0.1)
    expected = [flux[:, 100 * k - 50 : 100 * k + 50].mean(1) for k in range(1, 399)]
    np.testing.assert_allclose(seen[:, 1:399], np.array(expected).T, atol=0.03)


def test_the_mean_flux_of_a_line_stays():
    old = 3.6 + 7e-6 * np.arange(3000)
    line = np.exp(-0.5 * ((old - 3.61) / 3e-5) ** 2)
    seen = resample(10**old, line, 3.6, 1e-4, 200)
    assert np.nansum(seen) * 1e-4 == pytest.approx(line.sum() * 7e-6, rel=1e-6)


def test_tables_say_what_they_know():
    flux = np.full((3, 200), 4.0)
    flux[0, :30] = np.nan
    flux[1, 190:] = np.nan
    flux[1, 100:110] = np.nan
    flux[2, [3, 12, 196]] = -3.0  # noisy ends
    flux[2, 100] = -0.5  # but this one is in the middle
    made = table(flux)
    assert made["first"].tolist() == [30, 0, 13] and made["last"].tolist() == [200, 190, 196]
    assert made["flux"].dtype == np.float16 and made["flux"].shape == (3, 200)
    expected = np.ones((3, 200))
    expected[2, 100] = 0
    assert (made["flux"] == expected).all(), "over their medians; ends and holes filled"


# Air (CRC) and vacuum wavelengths of well-known lines.
@pytest.mark.parametrize(
    ("air", "expected"), [(6562.79, 6564.60), (4861.35, 4862.70), (5889.951, 5891.583)]
)
def test_vacuum(air, expected):
    assert vacuum(np.array([air]))[0] == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("logarithmic", [True, False])
def test_read_basis(tmp_path, logarithmic):
    vectors = np.random.default_rng(3).normal(size=(2, 50)).astype(">f4")
    first, step = (3.5, 1e-4) if logarithmic else (3000.0, 0.5)
    hdu = fits.PrimaryHDU(vectors)
    hdu.header.update({"CRVAL1": first, "CDELT1": step, "LOGLAM": int(logarithmic)})
    if not logarithmic:
        del hdu.header["LOGLAM"]
    coefficients = fits.ImageHDU(np.ones((7, 2)), name="ARCHETYPE_COEFF")
    fits.HDUList([hdu, coefficients][: 1 + logarithmic]).writeto(tmp_path / "basis.fits")
    wavelength, seen, own = read_basis(tmp_path / "basis.fits")
    axis = first + step * np.arange(50)
    np.testing.assert_allclose(wavelength, 10**axis if logarithmic else axis)
    assert (seen == vectors).all() and seen.dtype == np.float64
    assert own is None if not logarithmic else own.shape == (7, 2)


# what looks like a spectrum


@pytest.mark.parametrize(
    ("change", "physical", "with_lines"),
    [
        ({}, True, True),
        ({"scale": -1.0}, False, False),
        ({"hole": -0.5, "width": 100}, False, False),
        # Narrow holes are averaged over, unless they are asked about.
        ({"hole": -0.5, "width": 3}, True, False),
        ({"hole": 30.0, "width": 5}, True, True),
        ({"hole": 2e5, "width": 5}, False, False),
    ],
)
def test_physical(change, physical, with_lines):
    flux = 1 + 0.2 * np.sin(np.arange(4000) / 300)
    width = change.get("width", 0)
    flux[2500 : 2500 + width] = change.get("hole", 0)
    flux *= change.get("scale", 1)
    assert _optical.physical(flux) is physical
    assert _optical.physical(flux, lines=True) is with_lines


# the families


@pytest.mark.slow
@pytest.mark.parametrize("name", SOME)
def test_every_family_gives_spectra(built, real_templates, name):
    arrays, about = built(name)
    assert about["kind"] == name.split("-")[0] or about["fine"] != "optical"
    assert about["weight"] > 0 and about["blur"] >= 0 and about["source"]
    # A label that the source does not know is NaN.
    assert all(np.isfinite(array).all() for key, array in arrays.items() if key != "labels")
    if "labels" in about and "labels" in arrays:
        assert arrays["labels"].shape[1] == len(about["labels"])
        assert set(about["labels"]) <= {*LABELS, "vmic", "vbroad", "vmacro"}
    fine = FINE[about["fine"]]
    (family,) = real_templates(name).families(about["fine"], fine, CPU)
    drawn = family.draw(40, torch.Generator().manual_seed(1))
    redshift = torch.linspace(*about.get("redshift", (-1e-3, 1e-3)), 40).double()
    flux = family.place(drawn, (1 + redshift).log10())
    # A cubic dips a little beside an edge.
    assert torch.isfinite(flux).all() and (flux.amin(1) >= -0.02 * flux.amax(1)).all()
    low, high = family.known(drawn, (1 + redshift).log10())
    place = torch.as_tensor(fine.wavelength()).log10()
    seen = ((place > low[:, None]) & (place < high[:, None])).float().mean(1)
    # At its redshifts it is seen by the instruments.
    assert (seen > 0.35).float().mean() > 0.7
    assert (drawn.first < drawn.last).all()


def test_weights_of_a_kind_say_how_it_is_mixed():
    assert {name.split("-")[0] for name in FAMILIES} == {"galaxy", "quasar", "star", "hermes", "h"}


def depth(flux, width=150):
    """Lines without the continuum."""
    return flux / gaussian_filter1d(flux, width) - 1


def velocity_between(first, second, step, reach=60):
    """Shift of the second against the first [km/s], from their cross-correlation."""
    inner = slice(reach, -reach)
    shifts = np.arange(-reach, reach + 1)
    power = np.array([(first[inner] * np.roll(second, k)[inner]).mean() for k in shifts])
    top = power.argmax()
    assert 0 < top < 2 * reach, "no maximum"
    a, b, c = power[top - 1 : top + 2]
    alike = b / np.sqrt((first[inner] ** 2).mean() * (second[inner] ** 2).mean())
    return -(shifts[top] + 0.5 * (a - c) / (a - 2 * b + c)) * step * np.log(10) * LIGHT, alike


def mean_spectrum(made, rows=slice(None)):
    arrays, about = made
    return arrays["flux"][rows].astype(float).mean(0), about["segments"][0][0], about["step"]


def common(first, second, low, high):
    """Two mean spectra on the first one's points between two wavelengths."""
    (a, start, step), (b, other, own) = first, second
    place = start + step * np.arange(len(a))
    inside = (place > np.log10(low)) & (place < np.log10(high))
    moved = np.interp(place[inside], other + own * np.arange(len(b)), b)
    return depth(a[inside], 40), depth(moved, 40), step


# Air wavelengths taken for vacuum ones would be off by 82 to 86 km/s.
def test_sources_in_air_and_in_vacuum_agree(built):
    labels = built("star-miles")[0]["labels"]
    suns = (labels[:, 0] > 5200) & (labels[:, 0] < 6200)
    miles = mean_spectrum(built("star-miles"), suns)
    kesseli = mean_spectrum(built("star-kesseli"))
    off, alike = velocity_between(*common(kesseli, miles, 4000, 6800))
    assert abs(off) < 15 and alike > 0.6
    populations = [mean_spectrum(built(f"galaxy-{k}")) for k in ("mastar", "miuscat", "bpass")]
    for other in populations[1:]:
        off, alike = velocity_between(*common(populations[0], other, 4000, 6800))
        assert abs(off) < 10 and alike > 0.6


def test_sources_of_the_h_band_agree(built, real_templates):
    (payne,) = (f for f in real_templates("h-payne").families("h", FINE["h"], CPU))
    inside = slice(800, 2800)

    def emulated(*labels):
        return depth(payne.emulate(torch.tensor([labels]).float())[0, payne.pad :][inside].numpy())

    # From the file's air wavelengths, from vacuum ones, and learnt from real stars.
    grid = built("h-grid")[0]
    row = np.abs(grid["labels"] - [5000, 3.0, 0.0]).argsort(0)[:, 0][0]
    teff, logg, feh = grid["labels"][row]
    off, alike = velocity_between(
        emulated(teff, logg, max(feh, -0.9), 0.0),
        depth(grid["flux"][row][inside].astype(float)), 6e-6,
    )  # fmt: skip
    assert abs(off) < 2.5 and alike > 0.5
    cool = built("h-btsettl")[0]
    row = np.abs(cool["labels"][:, :3] - [3500, 4.5, 0.0]).sum(1).argmin()
    off, alike = velocity_between(
        emulated(3600.0, 4.5, 0.0, 0.0), depth(cool["flux"][row][inside].astype(float)), 6e-6
    )
    assert abs(off) < 2.5 and alike > 0.7
    (cannon,) = (f for f in real_templates("h-cannon").families("h", FINE["h"], CPU))
    giant = cannon.emulate(torch.tensor([[4600.0, 2.4, 0.0, 0.05]]))[0, cannon.pad :][inside]
    off, alike = velocity_between(emulated(4600.0, 2.4, 0.0, 0.05), depth(giant.numpy()), 6e-6)
    assert abs(off) < 2.5 and alike > 0.9


def test_balmer_lines_of_hermes_templates(built):
    for name in ("hermes-lte", "hermes-munari"):
        arrays, about = built(name)
        flux = arrays["mean"] if name == "hermes-lte" else arrays["flux"][6].astype(float)
        offset = 0
        for number, (start, count) in enumerate(about["segments"]):
            line = {0: 4862.69, 2: 6564.61}.get(number)
            if line:
                place = (np.log10(line) - start) / 4e-6
                near = np.arange(int(place) - 120, int(place) + 121)
                missing = 1 - flux[offset + near] / flux[offset + near].max()
                centre = (missing**4 * near).sum() / (missing**4).sum()
                assert abs(centre - place) * 2.76 < 15, "km/s"
            offset += count


# all of them, and training spectra


def mock_spectrum(set_name, **label):
    """A spectrum of a place on the sky that belongs to a set of the split."""
    ra, dec = next((x, y) for x in np.arange(0, 360, 3.1) for y in (-20.0, 10.0)
                   if sky_split(x, y) == set_name)  # fmt: skip
    wavelength = 10 ** (3.58 + 1e-4 * np.arange(3800))
    return Spectrum(
        flux=np.ones(3800) * u.Unit("1e-17 erg / (s cm2 AA)"), spectral_axis=wavelength * u.AA,
        uncertainty=InverseVariance(np.ones(3800)),
        meta={"ra": ra, "dec": dec, "model": 2 + np.sin(wavelength / 30),
              "label": {"class": "GALAXY", "z": 0.1, "zwarning": 0, **label}},
    )  # fmt: skip


def test_only_training_objects_become_templates():
    spectra = [mock_spectrum(name, z=z) for z, name in
               enumerate(("train", "validation", "test", "train"))]  # fmt: skip
    assert [row["z"] for row in training_models(spectra)] == [0.0, 3.0]


def test_spectra_that_say_too_little_are_left_out():
    good = mock_spectrum("train")
    (row,) = training_models([good])
    assert row["class"] == "GALAXY" and row["z"] == 0.1
    assert (row["model"] == good.meta["model"]).all()
    assert row["wavelength"] == pytest.approx(10 ** (3.58 + 1e-4 * np.arange(3800)))
    poor = [mock_spectrum("train") for _ in range(5)]
    del poor[0].meta["model"], poor[1].meta["ra"], poor[2].meta["label"]["z"]
    del poor[3].meta["label"]
    poor[4].meta["ra"] = float("nan")
    doubted = mock_spectrum("train", zwarning=4)
    assert training_models([*poor, doubted]) == []


def test_real_training_spectra(shared_data):
    paths = sorted((shared_data / "sdss" / "real").glob("spec-*.fits"))[::12]
    spectra = [spectrum for path in paths for spectrum in sdss.read(path)]
    rows = training_models(spectra)
    assert 3 < len(rows) < 0.95 * len(spectra)
    made = [_optical.models(rows, kind) for kind in ("galaxy", "quasar", "star")]
    assert sum(len(one[0]["flux"]) for one in made if one) <= len(rows)
    arrays, about = next(one for one in made if one and one[1]["kind"] == "quasar")
    quasars = [row for row in rows if row["class"] == "QSO"]
    np.testing.assert_allclose(arrays["redshift"], [row["z"] for row in quasars], rtol=1e-6)
    # At its own redshift each is the survey's model again.
    wavelength = 10 ** (about["segments"][0][0] + 1e-4 * np.arange(arrays["flux"].shape[1]))
    for flux, a, b, row in zip(
        arrays["flux"], arrays["first"], arrays["last"], quasars, strict=True
    ):
        model = np.interp(wavelength[a:b] * (1 + row["z"]), row["wavelength"], row["model"])
        scale = np.median(row["model"])
        np.testing.assert_allclose(flux[a:b].astype(float), model / scale, atol=0.05)


def test_models_of_no_object():
    assert _optical.models([], "star") is None
    (row,) = training_models([mock_spectrum("train")])
    assert _optical.models([row], "star") is None
    for change in ({"model": -row["model"]}, {"model": np.nan * row["model"]}, {"z": np.nan}):
        assert _optical.models([{**row, **change}], "galaxy") is None


@pytest.fixture
def few(monkeypatch):
    """Three families, two of which a folder serves; files are whatever lies there."""

    def build(file):
        def make(find, fits_of):
            assert "quasar-low" in fits_of and "quasar-high" in fits_of
            flux = np.loadtxt(find(file))
            segment = (3.5, 6000)
            return table(np.resize(flux, (3, 6000))), _optical._about(
                "star", "table", segment, 1e-4, file, weight=1.0, blur=0.0
            )

        return make

    def find(name, *, folder=None):
        path = Path(folder) / name
        if not path.is_file():
            raise FileNotFoundError(f"{name}: not in {folder}")
        return path

    monkeypatch.setattr(_build._registry, "find_template", find)
    monkeypatch.setattr(_optical, "FAMILIES", {"star-one": build("one"), "star-two": build("two")})
    monkeypatch.setattr(_stars, "FAMILIES", {"h-three": build("three")})


def put(folder, *names):
    for name in names:
        (folder / name).write_text("1.0 2.0 3.0")


def test_families_whose_files_are_missing_are_named_once(few, tmp_path):
    put(tmp_path, "one")
    with pytest.warns(AstropyUserWarning) as caught:
        templates = simulate.build_templates(folder=tmp_path)
    assert len(caught) == 1
    message = str(caught[0].message)
    assert message.startswith("templates left out: star-two, h-three. star-two: two: not in")
    assert Path(caught[0].filename).name == "test_sources.py", "it points at the caller"
    assert list(templates.about) == ["star-one"] and "star-one.flux" in templates.arrays


def test_all_families(few, tmp_path, capsys):
    put(tmp_path, "one", "two", "three")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        templates = simulate.build_templates(folder=tmp_path, progress=False)
    assert list(templates.about) == ["star-one", "star-two", "h-three"]
    assert all(torch.is_tensor(array) for array in templates.arrays.values())
    assert capsys.readouterr().err == ""
    simulate.build_templates(folder=tmp_path, progress=True)
    assert "templates" in capsys.readouterr().err


def test_no_file_at_all(few, tmp_path):
    with pytest.raises(FileNotFoundError, match="no template file was found for any of star-one,"):
        simulate.build_templates(folder=tmp_path)


def test_a_damaged_file_is_no_missing_file(few, tmp_path, monkeypatch):
    def damaged(name, *, folder=None):
        raise OSError("wrong checksum")

    monkeypatch.setattr(_build._registry, "find_template", damaged)
    with pytest.raises(OSError, match="wrong checksum"):
        simulate.build_templates(folder=tmp_path)


def test_models_of_spectra_join_the_files(few, tmp_path):
    put(tmp_path, "one", "two", "three")
    spectra = [mock_spectrum("train"), mock_spectrum("test"), mock_spectrum("train", z=0.3)]
    with pytest.warns(AstropyUserWarning, match="1 of 3 spectra give no template: they are not"):
        templates = simulate.build_templates(folder=tmp_path, spectra=iter(spectra))
    assert list(templates.about)[3:] == ["galaxy-sdss"]
    assert templates.arrays["galaxy-sdss.flux"].shape[0] == 2
    assert templates.arrays["galaxy-sdss.redshift"].tolist() == pytest.approx([0.1, 0.3])
    (seen,) = simulate.Simulator("sdss", templates=templates, kind="galaxy").observe(30)
    redshift = seen.labels["redshift"].numpy()
    assert (np.abs((1 + redshift) / 1.2 - 1) < 0.35).all()


def test_every_family_names_registered_files(shared_data):
    asked = set()

    def find(name):
        asked.add(name)
        raise FileNotFoundError(name)

    for build in FAMILIES.values():
        with pytest.raises(FileNotFoundError):
            build(find, _build._fits())
    assert asked <= set(FILES)
