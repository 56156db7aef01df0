import numpy as np
import pytest
import torch
from astropy import units as u
from astropy.nddata import StdDevUncertainty
from astropy.table import QTable
from astropy.utils.exceptions import AstropyUserWarning
from scipy.integrate import quad
from specutils import Spectrum

import spectok
from spectok import simulate
from spectok._batch import PatchLayout, SpectrumBatch
from spectok._convert import convert_spectra
from spectok.probes._misfit import hidden_pulls, misfit, peak
from spectok.probes._novelty import novelty, novelty_reference
from spectok.probes._novelty_reference import Reference, _nearest, _share


def spectra(make_arrays, n, n_pixels=192, seed=0, factor=1.0, bad=()):
    wavelength, flux, sigma = make_arrays(n_pixels, n, seed)
    mask = np.zeros(flux.shape, bool)
    mask[list(bad)] = True
    return Spectrum(
        flux=flux * factor * u.Jy,
        spectral_axis=wavelength * u.AA,
        uncertainty=StdDevUncertainty(sigma * factor),
        mask=mask,
    )


@pytest.fixture(scope="module")
def ordinary(tiny, make_arrays):
    return novelty_reference(spectra(make_arrays, 80), model=tiny)


class TestMisfit:
    def pulls(self, tiny, spectrum, **more):
        rows, _ = convert_spectra(spectrum)
        return hidden_pulls(rows, tiny, **more)

    def test_what_is_hidden_is_not_seen(self, tiny, make_arrays):
        """A pixel that changes moves its own residual in proportion: nothing foresaw it."""
        plain = spectra(make_arrays, 1)
        found = []
        for amount in (0.0, 50.0, 150.0):
            flux = plain.flux.value.copy()
            flux[0, 70] += amount
            changed = Spectrum(
                flux=flux * u.Jy, spectral_axis=plain.spectral_axis, uncertainty=plain.uncertainty
            )
            (pull,) = self.pulls(tiny, changed)
            found.append(pull[70])
        assert found[1] - found[0] > 1
        assert found[2] - found[0] == pytest.approx(3 * (found[1] - found[0]), rel=1e-3)

    def test_as_by_hand(self, tiny, make_arrays):
        wavelength, flux, sigma = make_arrays(192, 1)
        plain = Spectrum(
            flux=flux * u.one,
            spectral_axis=wavelength * u.AA,
            uncertainty=StdDevUncertainty(sigma),
        )
        (pull,) = self.pulls(tiny, plain, seed=3)
        assert pull.size == 192
        # The block that holds pixel 100, and those five blocks before and after it.
        shift = int(np.random.default_rng(3).integers(60))
        block = (np.arange(192) + shift) // 12
        hidden = block % 5 == block[100] % 5
        layout = PatchLayout.of(wavelength, tiny.config.patch_size)
        batch = SpectrumBatch.from_layouts([layout], flux, sigma, [np.ones(192, bool)])
        withheld = torch.from_numpy(layout.gather(hidden) & layout.present)[None]
        with torch.inference_mode():
            tokens, again, error = tiny(batch, withheld)
        again, error = (
            float(tokens.scale) * layout.scatter(a[0].double().numpy()) for a in (again, error)
        )
        expected = (flux[0] - again) / np.sqrt(sigma[0] ** 2 + error**2)
        assert pull[hidden] == pytest.approx(expected[hidden], rel=1e-4, abs=1e-4)

    def test_bad_pixels_and_short_patches_have_none(self, tiny, make_arrays):
        plain = spectra(make_arrays, 1, n_pixels=3 * 32)
        mask = np.zeros((1, 96), bool)
        mask[0, 5] = True  # a bad pixel
        mask[0, 32:52] = True  # most of a patch
        some = Spectrum(
            flux=plain.flux, spectral_axis=plain.spectral_axis,
            uncertainty=plain.uncertainty, mask=mask,
        )  # fmt: skip
        assert self.pulls(tiny, some)[0].size == 31 + 32

    def test_company_changes_nothing(self, tiny, make_arrays):
        short, long = spectra(make_arrays, 1), spectra(make_arrays, 3, n_pixels=500, seed=1)
        (alone,) = self.pulls(tiny, short)
        beside = self.pulls(tiny, [long, short, long])
        assert len(beside) == 7
        assert beside[3] == pytest.approx(alone, rel=1e-3, abs=1e-3)

    def test_measures(self):
        def integrand(r):
            return np.log(1 + r**2) * np.exp(-0.5 * r**2) / np.sqrt(2 * np.pi)

        noise = np.random.default_rng(0).standard_normal(100_000)
        assert misfit(noise) == pytest.approx(quad(integrand, -10, 10)[0], abs=0.005)
        few = np.zeros(100)
        few[40:45] = [-2.0, -3.0, -4.0, -3.0, -2.0]
        assert peak(few) == pytest.approx(14 / 5**0.5)
        assert peak(np.array([1e9])) == pytest.approx(30 * 5**0.5)


class TestReference:
    def test_share_counts(self):
        own = np.arange(1.0, 201.0)
        similar = np.tile(np.arange(200), (3, 1))
        value = np.array([0.0, 100.5, 150.0])
        assert _share(value, own, similar) == pytest.approx([1.0, 101 / 201, 52 / 201])

    def test_share_falls_on_beyond_the_oddest(self):
        own = np.random.default_rng(1).pareto(2.0, 200) + 1
        value = np.sort(np.concatenate([own, [200.0, 300.0]]))
        share = _share(value, own, np.tile(np.arange(200), (len(value), 1)))
        assert (np.diff(share) <= 1e-12).all()
        assert share[-1] < share[-2] < 1 / 200

    def test_ordinary_values_have_even_shares(self):
        rng = np.random.default_rng(2)
        own, value = rng.gamma(4.0, size=4000), rng.gamma(4.0, size=4000)
        similar = rng.integers(0, 4000, (4000, 200))
        share = _share(value, own, similar)
        for level in (0.01, 0.05, 0.1, 0.5):
            assert (share < level).mean() == pytest.approx(level, rel=0.5)

    def test_nearest_of_the_reference_leaves_itself_out(self):
        points = np.random.default_rng(3).normal(size=(1200, 4))
        distance = np.linalg.norm(points[:, None] - points, axis=-1)
        expected = np.sort(distance, axis=1)[:, 1:6].mean(1)
        assert _nearest(points, points, same=True) == pytest.approx(expected)
        assert _nearest(points[:3], points)[0] == pytest.approx(np.sort(distance[0])[:5].mean())

    def test_is_checked(self, tiny, ordinary, make_arrays):
        some = spectra(make_arrays, 2)
        with pytest.raises(TypeError, match="must be a table from novelty_reference, not dict"):
            novelty(some, reference={}, model=tiny)
        with pytest.raises(ValueError, match="lacks the columns vector"):
            novelty(some, reference=ordinary["snr", "misfit", "peak", "valid"], model=tiny)
        with pytest.raises(ValueError, match="made with the model 'tiny-test'.*by 'small-v1'"):
            novelty(some, reference=ordinary, model="small-v1")
        with pytest.raises(ValueError, match="no reference.* 'tiny-test': make one"):
            novelty(some, model=tiny)
        with pytest.raises(ValueError, match="has 49 usable spectra, and at least 50"):
            novelty(some, reference=ordinary[:49], model=tiny)
        with pytest.raises(ValueError, match="at least 50 usable spectra .* there are 2"):
            novelty_reference(some, model=tiny)

    def test_changed_weights_have_none(self):
        """The name is that of the embedded model, the weights are others."""
        model = spectok.load_model()
        name, sha256 = spectok._weights.model_identity(model)
        with torch.no_grad():
            next(model.parameters()).add_(0.1)
        with pytest.raises(ValueError, match=f"no reference .*{name}-changed"):
            Reference.shipped(model)

    def test_survives_a_file(self, tiny, ordinary, make_arrays, tmp_path):
        ordinary.write(tmp_path / "ordinary.fits")
        again = QTable.read(tmp_path / "ordinary.fits")
        some = spectra(make_arrays, 3, seed=5)
        first, second = (novelty(some, reference=r, model=tiny) for r in (ordinary, again))
        assert second["score"] == pytest.approx(np.asarray(first["score"]), rel=1e-5)

    def test_shipped_is_small_and_finite(self):
        reference = Reference.shipped(spectok.load_model())
        assert len(reference.snr) > 1000
        for values in (reference.snr, reference.misfit, reference.peak, reference.vector):
            assert np.isfinite(values).all()


class TestNovelty:
    def test_table(self, tiny, ordinary, make_arrays):
        some = spectra(make_arrays, 4, seed=7, bad=[2])
        names = list("abcd")
        with pytest.warns(AstropyUserWarning, match=r"1 of 4 spectra have not one .* 2 \(c\)"):
            odd = novelty(some, reference=ordinary, model=tiny, object_id=names)
        assert odd.colnames == [
            "spectrum_index", "object_id", "snr", "misfit", "peak", "distance",
            "p_misfit", "p_peak", "p_distance", "score", "valid",
        ]  # fmt: skip
        assert odd["object_id"].tolist() == names
        assert odd["spectrum_index"].tolist() == [0, 1, 2, 3]
        assert odd["valid"].tolist() == [True, True, False, True]
        numbers = np.array([odd[name] for name in odd.colnames[2:-1]])
        assert np.isnan(numbers[:, 2]).all()
        assert np.isfinite(numbers[:, [0, 1, 3]]).all()
        least = numbers[4:7][:, [0, 1, 3]].min(0)
        assert numbers[7][[0, 1, 3]] == pytest.approx(-np.log10(np.minimum(3 * least, 1)))
        flux, sigma = some.flux.value[0], some.uncertainty.array[0]
        assert odd["snr"][0] == pytest.approx(np.median(np.abs(flux) / sigma))

    def test_none_can_be_judged(self, tiny, ordinary, make_arrays):
        with pytest.warns(AstropyUserWarning, match="2 of 2 spectra have not one good patch"):
            odd = novelty(spectra(make_arrays, 2, bad=[0, 1]), reference=ordinary, model=tiny)
        assert not odd["valid"].any() and np.isnan(odd["score"]).all()

    @pytest.mark.parametrize("factor", [1e-17, 3e5])
    def test_unit_does_not_matter(self, tiny, ordinary, make_arrays, factor):
        plain, scaled = (
            novelty(spectra(make_arrays, 2, seed=8, factor=f), reference=ordinary, model=tiny)
            for f in (1.0, factor)
        )
        for name in ("snr", "misfit", "peak", "distance", "score"):
            assert scaled[name] == pytest.approx(np.asarray(plain[name]), rel=1e-3, abs=1e-4)

    def test_ordinary_ones_are_seldom_odd(self, tiny, ordinary, make_arrays):
        odd = novelty(spectra(make_arrays, 100, seed=9), reference=ordinary, model=tiny)
        for name in ("p_misfit", "p_peak", "p_distance"):
            assert 0.3 < np.mean(odd[name]) < 0.7
        assert (odd["score"] > 2).sum() <= 6

    def test_each_number_finds_its_own(self, tiny, ordinary, make_arrays):
        wavelength, flux, sigma = make_arrays(192, 4, seed=10)
        flux[1, 100:103] += 30.0  # a line
        sigma[2] /= 3.0  # errors too small
        flux[3] = np.abs(np.where(wavelength < 4130, 40.0, 2.0) + flux[3] - 20.0)  # another shape
        table = novelty(
            Spectrum(
                flux=flux * u.Jy,
                spectral_axis=wavelength * u.AA,
                uncertainty=StdDevUncertainty(sigma),
            ),
            reference=ordinary,
            model=tiny,
        )
        assert table["score"][0] < 1.3
        assert table["p_peak"][1] < 0.01
        assert table["p_misfit"][2] < 0.01
        assert table["p_distance"][3] < 0.01
        assert (table["score"][1:] > 1.3).all()

    @pytest.mark.slow
    def test_embedded_reference(self):
        """Mocks of formulas through the embedded model; errors half of what they were."""
        mocks = simulate.observe("sdss", 4, seed=11, snr=3)
        wrong = [
            Spectrum(
                flux=one.flux, spectral_axis=one.spectral_axis, mask=one.mask,
                uncertainty=type(one.uncertainty)(4 * one.uncertainty.array),
            )
            for one in mocks
        ]  # fmt: skip
        plain, odd = novelty(mocks), novelty(wrong)
        assert (odd["score"] > 1.3).all()
        assert (np.asarray(odd["score"]) > np.asarray(plain["score"])).all()

    def test_arms_are_one_spectrum(self, tiny, ordinary, make_arrays):
        both = spectra(make_arrays, 3, seed=12)
        arms = [
            Spectrum(
                flux=both.flux[:, part], spectral_axis=both.spectral_axis[part],
                uncertainty=StdDevUncertainty(both.uncertainty.array[:, part]),
            )
            for part in (slice(0, 96), slice(96, 192))
        ]  # fmt: skip
        joined = novelty(arms, arms=True, reference=ordinary, model=tiny)
        assert joined["snr"] == pytest.approx(
            np.asarray(novelty(both, reference=ordinary, model=tiny)["snr"])
        )
        assert len(joined) == 3
