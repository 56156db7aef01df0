"""Real spectra: packed into few bytes, unpacked, augmented."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from spectok._batch import find_segments
from spectok.simulate import Simulator
from spectok.training import Batches, RealSpectra, open_pack, pack_spectra

GRIDS = {
    "log": 10 ** (3.5552 + 1e-4 * np.arange(4500)),
    "linear, three arms": np.concatenate(
        [a + 0.8 * np.arange(n) for a, n in ((3600.0, 2751), (5760.0, 2326), (7520.0, 2881))]
    ),
    "four arms": np.concatenate(
        [a + (b - a) * (x := np.linspace(0, 1, 4096)) + 0.5 * x * (1 - x)
         for a, b in ((4713.0, 4904.0), (5648.0, 5874.0), (6478.0, 6738.0), (7584.0, 7888.0))]
    ),
    "gaps": np.delete(10 ** (4.179 + 6e-6 * np.arange(8575)), np.r_[3000:3100, 5000, 5700:5900]),
    "few": np.array([5000.0, 5001.0, 5002.5]),
    "one": np.array([5000.0]),
}  # fmt: skip


def spectrum(wavelength, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    sigma = scale * rng.uniform(0.01, 0.1, len(wavelength))
    flux = scale * (1 + 0.3 * np.sin(wavelength / 50)) + sigma * rng.normal(size=len(wavelength))
    valid = rng.random(len(wavelength)) > 0.05
    valid[0] = True
    return wavelength, flux, sigma, valid


@pytest.mark.parametrize("name", GRIDS)
def test_wavelengths_come_back_within_a_thousandth_of_a_pixel(name):
    wavelength = GRIDS[name]
    real = RealSpectra(pack_spectra([(0, *spectrum(wavelength))]), ("sdss",))
    (again, *_) = real.spectrum(0)
    step = np.diff(wavelength, prepend=wavelength[0] - 0.04)
    step = np.where(np.abs(step) > 5, 0.04, np.abs(step))
    assert (np.abs(again - wavelength) < 1e-3 * step).all()
    assert np.array_equal(find_segments(again), find_segments(wavelength))


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_pixels_left_out_do_not_move_the_others(data):
    wavelength = 10 ** (3.6 + 1e-4 * np.arange(300))
    kept = data.draw(st.lists(st.booleans(), min_size=300, max_size=300).filter(any))
    wavelength = wavelength[np.array(kept)]
    real = RealSpectra(pack_spectra([(0, *spectrum(wavelength))]), ("sdss",))
    again = real.spectrum(0)[0]
    assert (np.abs(again / wavelength - 1) < 0.004 * np.log(10) * 1e-4).all()


def test_flux_and_sigma_come_back_in_units_of_the_median():
    several = [spectrum(GRIDS[name], k, 1e-17) for k, name in enumerate(("log", "gaps", "log"))]
    arrays = pack_spectra((k % 2, *one) for k, one in enumerate(several))
    n_pixels = sum(len(one[0]) for one in several)
    assert sum(a.nbytes for a in arrays.values()) < 5 * n_pixels
    real = RealSpectra(arrays, ("sdss", "apogee"))
    assert {name: rows.tolist() for name, rows in real.rows.items()} == {
        "sdss": [0, 2], "apogee": [1],
    }  # fmt: skip
    for row, (_, flux, sigma, valid) in enumerate(several):
        _, flux_, sigma_, valid_ = real.spectrum(row)
        assert np.array_equal(valid_, valid)
        scale = np.median(np.abs(flux[valid]))
        np.testing.assert_allclose(flux_[valid], flux[valid] / scale, rtol=5e-4)
        np.testing.assert_allclose(sigma_[valid], sigma[valid] / scale, rtol=5e-4)


def test_what_half_precision_cannot_hold_is_bad():
    wavelength, flux, sigma, valid = spectrum(GRIDS["log"])
    valid[:] = True
    flux[10], sigma[11], sigma[12] = 1e30, 1e30, 1e-30
    flux[13], sigma[14], sigma[15] = np.nan, np.inf, -1.0
    real = RealSpectra(pack_spectra([(0, wavelength, flux, sigma, valid)]), ("sdss",))
    _, flux_, sigma_, valid_ = real.spectrum(0)
    assert np.flatnonzero(~valid_).tolist() == [*range(10, 16)]
    assert np.isfinite(flux_).all() and np.isfinite(sigma_).all()


def test_a_spectrum_of_zeros_is_kept_over_its_noise():
    wavelength, flux, sigma, valid = spectrum(GRIDS["log"])
    real = RealSpectra(pack_spectra([(0, wavelength, 0 * flux, sigma, valid)]), ("sdss",))
    _, flux_, sigma_, valid_ = real.spectrum(0)
    assert np.array_equal(valid_, valid) and not flux_.any()
    assert np.median(sigma_[valid]) == pytest.approx(1, rel=1e-3)


def test_a_spectrum_without_a_good_pixel_is_refused():
    good, bad = spectrum(GRIDS["log"]), spectrum(GRIDS["log"])
    bad[3][:] = False
    nan = spectrum(GRIDS["log"])
    nan[1][:] = np.nan
    for one in (bad, nan):
        with pytest.raises(ValueError, match="spectrum 1 has no good pixel"):
            pack_spectra([(0, *good), (0, *one)])


def draw(real, n, seed=0, n_patches=200, survey="sdss"):
    return real.draw(np.random.default_rng(seed), survey, n, n_patches, 32)


def test_an_empty_survey_is_named():
    real = RealSpectra(pack_spectra([(0, *spectrum(GRIDS["log"]))]), ("sdss", "desi"))
    for survey in ("desi", "galah"):
        with pytest.raises(ValueError, match=f"no spectrum of '{survey}' in the pack"):
            draw(real, 2, survey=survey)


def test_spectra_are_augmented_and_the_pack_is_left_alone():
    waves = [4000.0 + np.arange(n) for n in (100, 140)]
    arrays = pack_spectra([(0, *spectrum(w, k)) for k, w in enumerate(waves)])
    before = {name: a.copy() for name, a in arrays.items()}
    real = RealSpectra(arrays, ("sdss",))
    drawn = draw(real, 40)
    seen = drawn.seen
    assert drawn.target is seen and not drawn.noiseless and seen.flux.shape == (40, 5 * 32)
    assert torch.isfinite(seen.flux).all() and (seen.sigma > 0).all()
    assert not seen.flux[~seen.valid].any()
    known = [real.spectrum(row)[3] for row in (0, 1)]
    for valid in seen.valid.numpy():
        # All that is between the first and the last good pixel, of one of the two.
        own = [np.trim_zeros(k.astype(int)) for k in known]
        assert any(np.array_equal(np.trim_zeros(valid.astype(int)), k) for k in own)
    # A shift in velocity keeps the shape of the grid.
    factor = (seen.wavelength / seen.wavelength[:, :1]).numpy()
    assert len(np.unique(factor[:, 50].round(8))) <= 2
    assert len(set(seen.wavelength[:, 0].tolist())) > 10
    assert len(set(seen.flux.sum(1).tolist())) == 40
    assert all(np.array_equal(arrays[name], before[name]) for name in arrays), "data were changed"


def test_windows_are_cut_from_each_spectrum_anew():
    """And hold the pixels that the spectrum has there."""
    wavelength = 4000.0 + np.arange(3000.0)
    flux = 100.0 + np.arange(3000.0)
    valid = np.ones(3000, bool)
    valid[:200] = valid[-200:] = False
    real = RealSpectra(pack_spectra([(0, wavelength, flux, 1e-4 * flux, valid)]), ("sdss",))
    real._augment = lambda rng, survey, batch: batch
    seen = draw(real, 60, n_patches=10).seen
    assert seen.flux.shape == (60, 320) and seen.valid.all()
    first = seen.wavelength[:, 0].numpy()
    assert len(set(first.round())) > 50 and first.min() > 4199 and first.max() < 6481
    expected = (seen.wavelength.numpy() - 3900) / np.median(flux[valid])
    np.testing.assert_allclose(seen.flux.numpy(), expected, rtol=1e-3)


def test_extra_noise_is_in_sigma_too():
    """Residuals about the truth stay of unit variance, whatever was added."""
    wavelength = 4000.0 + np.arange(4000.0)
    sigma = np.full(4000, 0.02)
    flux = 1 + sigma * np.random.default_rng(3).normal(size=4000)
    real = RealSpectra(pack_spectra([(0, wavelength, flux, sigma, sigma > 0)]), ("sdss",))
    seen = draw(real, 60).seen
    flux, sigma = seen.flux.numpy().astype(float), seen.sigma.numpy()
    # Second differences: calibration waves are smooth.
    bend = 2 * flux[:, 1:-1] - flux[:, :-2] - flux[:, 2:]
    ratios = np.std(bend / sigma[:, 1:-1], axis=1) / np.sqrt(6)
    assert np.all(np.abs(ratios - 1) < 0.08)
    assert len(set(sigma[:20].mean(1).round(3))) > 8


def equal(a, b):
    names = ("flux", "sigma", "wavelength", "valid")
    return all(torch.equal(getattr(a.seen, k), getattr(b.seen, k)) for k in names)


def test_the_generator_alone_decides():
    """Neither torch's own generator nor the number of threads."""
    several = [spectrum(GRIDS["log"], k) for k in range(4)]
    real = RealSpectra(pack_spectra((0, *one) for one in several), ("sdss",))
    first, threads = draw(real, 40), torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        torch.manual_seed(99)
        assert equal(first, draw(real, 40))
    finally:
        torch.set_num_threads(threads)
    assert not equal(first, draw(real, 40, seed=1))


# ------------------------------------------------------------------ packs on the disk


@pytest.fixture
def packed(tmp_path):
    """A pack and the file that it was written to, among other arrays."""
    several = [spectrum(GRIDS[name], k) for k, name in enumerate(("log", "gaps", "four arms"))]
    arrays = pack_spectra((k, *one) for k, one in enumerate(several))
    other = {"a": np.ones(3, np.float32), "real.flux": np.arange(7.0)}
    save_file(arrays | other, tmp_path / "pack.safetensors", {"train": "[]"})
    return arrays, tmp_path / "pack.safetensors"


def test_an_opened_pack_is_what_was_written(packed):
    arrays, path = packed
    opened = open_pack(str(path))
    assert set(opened) == set(arrays)
    for name, array in arrays.items():
        assert isinstance(opened[name], np.memmap) and not opened[name].flags.writeable
        assert opened[name].dtype == array.dtype and np.array_equal(opened[name], array)
    one, other = RealSpectra(arrays), RealSpectra(opened)
    assert equal(draw(one, 10, survey="galah"), draw(other, 10, survey="galah"))


def test_packs_of_0_1_call_a_segment_piece(packed, tmp_path):
    arrays, _ = packed
    old = {name.replace("segment", "piece"): array for name, array in arrays.items()}
    assert "spectra.piece" in old
    save_file(old, tmp_path / "old.safetensors")
    opened = open_pack(tmp_path / "old.safetensors")
    assert set(opened) == set(arrays)
    for found in (old, opened):
        assert equal(draw(RealSpectra(arrays), 10), draw(RealSpectra(found), 10))


def test_a_file_that_is_no_pack_is_refused(tmp_path):
    save_file({"spectra.flux": np.ones(3, np.float32)}, tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match="weights.* is no pack .*lacks sigma, offset, survey"):
        open_pack(tmp_path / "weights.safetensors")
    others = {
        "nothing": b"", "short": b"abc", "fits": b"SIMPLE  =" * 400, "zeros": bytes(100),
        "binary": b"\x09" + bytes(7) + b"\xff" * 100,
        "list": b"\x02" + bytes(7) + b"[]" + bytes(20),
    }  # fmt: skip
    for name, content in others.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} is no safetensors file: .*`spectok pack`"):
            open_pack(tmp_path / name)


def test_half_a_pack_is_refused(packed):
    _, path = packed
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=rf"has {len(whole) // 2} bytes of \d+: copy it again"):
        open_pack(path)


# ------------------------------------------------------------------ of the four surveys


@pytest.mark.slow
def test_next_to_nothing_is_padding(padding):
    """Spectra that end where their good pixels end, cut to windows of one length."""
    found = []
    for k, name in enumerate(("boss", "desi-arms", "galah", "apogee")):
        (seen,) = Simulator(name).observe(20, seed=k)
        parts = (a.numpy() for a in (seen.flux, seen.sigma, seen.valid))
        found += [
            (k, seen.instrument.wavelength, f.astype(float), s.astype(float), v)
            for f, s, v in zip(*parts, strict=True)
            if v.any()
        ]
    real = RealSpectra(pack_spectra(found))
    batches = Batches(
        {"real": real}, {name: {"real": 1.0} for name in real.rows},
        patch_size=32, n_tokens=1024, seed=1,
    )  # fmt: skip
    assert padding(map(batches.__getitem__, range(60))) < 0.05


def test_a_pack_on_the_disk_goes_to_workers_by_its_path(tmp_path, monkeypatch):
    """Not with all its arrays in it; and from another working directory as well."""
    path = tmp_path / "pack.safetensors"
    save_file(pack_spectra([(0, *spectrum(GRIDS["log"], seed)) for seed in range(20)]), path)
    monkeypatch.chdir(tmp_path)
    real = RealSpectra(open_pack("pack.safetensors"))
    pickled = pickle.dumps(real)
    assert len(pickled) < 0.05 * path.stat().st_size
    monkeypatch.chdir("/")
    again = pickle.loads(pickled)
    assert isinstance(again.arrays["spectra.flux"], np.memmap)
    for row in (0, 19):
        for one, other in zip(real.spectrum(row), again.spectrum(row), strict=True):
            assert np.array_equal(one, other)
