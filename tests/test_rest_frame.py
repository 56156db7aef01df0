"""Token tables in the rest frame."""

import numpy as np
import pytest
import torch
from astropy import units as u
from astropy.table import QTable
from astropy.utils.exceptions import AstropyUserWarning
from hypothesis import given, strategies

import spectok
from spectok import TokenFlag, simulate

STEP = 3.2e-3  # dex: a patch of SDSS
LIGHT = 299792.458


@pytest.fixture(scope="module")
def tokens():
    spectra = simulate.observe("sdss", 3, seed=4)
    for number, one in enumerate(spectra):
        one.meta["z_fit"] = 0.1 * number
    return spectok.encode(spectra, keep=["z_fit"])


def lines(velocity):
    """Spectra like GALAH's with a forest of lines, moved by velocities [km/s], (N, L)."""
    wavelength = 4713.0 + 0.046 * np.arange(4096)
    rng = np.random.default_rng(2)
    centres, depths = rng.uniform(4690, 4930, 300), rng.uniform(0.1, 0.7, 300)
    flux = []
    for v in velocity:
        rest = wavelength[:, None] / (1 + v / LIGHT)
        flux.append(1 - (depths * np.exp(-0.5 * ((rest - centres) / 0.12) ** 2)).sum(1) / 2)
    return wavelength * u.AA, np.array(flux)


def by_place(items):
    """Tokens of all items at the places that all share, (N, T, C)."""
    shared = set(items[0]["wavelength"].round(6))
    for item in items[1:]:
        shared &= set(item["wavelength"].round(6))
    keep = [np.isin(item["wavelength"].round(6), sorted(shared)) for item in items]
    return np.stack([item["token"][k] for item, k in zip(items, keep, strict=True)])


def test_table(tokens):
    rest = spectok.to_rest_frame(tokens, [0.0, 0.1, 0.2])
    assert rest.colnames == [*tokens.colnames, "frame_redshift"]
    assert rest.meta == {**tokens.meta, "FRAME": "rest, step 0.0032"}
    assert rest["token"].dtype == np.float32
    for k, z in enumerate((0.0, 0.1, 0.2)):
        old, new = (t[t["spectrum_index"] == k] for t in (tokens, rest))
        assert (new["frame_redshift"] == z).all()
        assert (new["scale"] == old["scale"][0]).all()
        assert (new["object_id"] == old["object_id"][0]).all()
        assert (new["z_fit"] == old["z_fit"][0]).all()
        assert list(new["token_index"]) == list(range(len(new)))
        assert new["valid"][1:-1].all()
        # As many good pixels, for patches of SDSS have the length that new ones have.
        assert new["n_valid"].sum() == pytest.approx(old["n_valid"][old["valid"]].sum(), rel=0.02)
        good = old["valid"]
        ends = old["wavelength_min"][good].min(), old["wavelength_max"][good].max()
        for mine, end in zip(
            (new["wavelength_min"].min(), new["wavelength_max"].max()), ends, strict=True
        ):
            assert abs(np.log10(mine * (1 + z) / end)) < STEP


def test_patches_begin_at_multiples_of_the_step(tokens):
    for step in (None, 5e-3):
        rest = spectok.to_rest_frame(tokens, [0.0, 0.1, 0.2], step=step)
        half = (rest["wavelength"] - rest["wavelength_min"]) * 32 / 31
        for sign in (-1, 1):
            place = np.log10((rest["wavelength"] + sign * half).value) / (step or STEP)
            assert place == pytest.approx(place.round(), abs=1e-6)


def test_decoded_spectra_stay_what_they_were(tokens):
    """At rest wavelengths what there was at observed ones, well within its error."""
    z = np.array([0.0, 0.13, 1.0])
    rest = spectok.to_rest_frame(tokens, z)
    axis = np.geomspace(4000, 9000, 2000) * u.AA
    before = spectok.decode(tokens, axis)
    after = spectok.decode(rest, [axis / (1 + one) for one in z])
    for k in range(3):
        apart = (after[k].flux - before.flux[k]).value / before.uncertainty.array[k]
        assert np.sqrt(np.nanmean(apart**2)) < 0.4
        ratio = after[k].uncertainty.array / before.uncertainty.array[k]
        assert 0.7 < np.nanmedian(ratio) < 1.4


def test_the_same_star_at_two_velocities_has_the_same_tokens():
    wavelength, flux = lines([-41.0, 67.0])
    noise = np.full_like(flux, 1e4)
    tokens = spectok.encode_arrays(wavelength, flux, ivar=noise)
    seen = by_place(spectok.group(tokens))
    rest = by_place(spectok.group(spectok.to_rest_frame(tokens, [-41.0, 67.0] * u.km / u.s)))
    assert rest.shape[1] > 100
    # Apart from the noise, the last number, and the outermost patches.
    apart = [np.std(one[0, 2:-2, :-1] - one[1, 2:-2, :-1]) for one in (seen, rest)]
    scatter = np.std(seen[0, :, 1:-1])
    assert apart[0] > 0.8 * scatter
    assert apart[1] < 0.2 * scatter


def test_velocities_and_redshifts_say_the_same(tokens):
    z = 0.05
    beta = ((1 + z) ** 2 - 1) / ((1 + z) ** 2 + 1)
    plain = spectok.to_rest_frame(tokens, z)
    for given_ in (
        [z] * 3,
        np.full(3, z),
        z * u.dimensionless_unscaled,
        5 * u.percent,
        beta * LIGHT * u.km / u.s,
        u.Quantity([beta * LIGHT * 1e3] * 3, u.m / u.s),
    ):
        other = spectok.to_rest_frame(tokens, given_)
        assert other["frame_redshift"] == pytest.approx(z, rel=1e-9)
        assert np.allclose(other["token"], plain["token"], atol=1e-4)


def test_a_column_of_the_table(tokens):
    by_name = spectok.to_rest_frame(tokens, "z_fit")
    assert np.array_equal(by_name["token"], spectok.to_rest_frame(tokens, [0, 0.1, 0.2])["token"])
    named = tokens.copy()
    named["rv_best"] = np.full(len(tokens), 12.0)
    with pytest.raises(ValueError, match="'rv_best' has no unit and seems to hold velocities"):
        spectok.to_rest_frame(named, "rv_best")
    named["rv_best"] = named["rv_best"] * u.km / u.s
    found = spectok.to_rest_frame(named, "rv_best")["frame_redshift"]
    assert found == pytest.approx(12.0 / LIGHT, rel=1e-4)
    with pytest.raises(ValueError, match=r"no such column: keep it .*keep=\['z_best'\]"):
        spectok.to_rest_frame(tokens, "z_best")


def test_twice(tokens):
    twice = spectok.to_rest_frame(spectok.to_rest_frame(tokens, 0.1), [-0.02, 0.0, 0.3])
    found = [twice["frame_redshift"][twice["spectrum_index"] == k][0] for k in range(3)]
    assert found == pytest.approx([1.1 * 0.98 - 1, 0.1, 1.1 * 1.3 - 1])


# What the vectors are of does not matter here, only what tables say.
@pytest.mark.filterwarnings("ignore:.*spectra at rest are of ordinary resolution")
@pytest.mark.parametrize("name", ["tokens.fits", "tokens.ecsv"])
def test_files(tokens, tmp_path, name):
    rest = spectok.to_rest_frame(tokens, 0.1)
    rest.write(tmp_path / name)
    read = QTable.read(tmp_path / name)
    assert np.array_equal(read["token"], rest["token"])
    assert np.array_equal(read["frame_redshift"], rest["frame_redshift"])
    again = spectok.to_rest_frame(read, 0.0)
    assert again["frame_redshift"] == pytest.approx(0.1)
    assert len(spectok.pool(spectok.concatenate([read, rest]))) == 6
    assert "frame_redshift" in spectok.embed(read).colnames


def test_what_has_no_token_keeps_a_row():
    wavelength, flux = lines([0.0, 0.0, 0.0])
    flux[1] = np.nan
    mask = np.zeros_like(flux, bool)
    mask[2] = np.arange(flux.shape[1]) % 40 > 15  # not one patch is good enough
    with pytest.warns(AstropyUserWarning, match="2 of 3 spectra have not one good patch"):
        tokens = spectok.encode_arrays(wavelength, flux, ivar=np.ones_like(flux), mask=mask,
                                       errors="row")  # fmt: skip
    rest = spectok.to_rest_frame(tokens, [0.001, np.nan, np.nan])
    assert list(np.unique(rest["spectrum_index"])) == [0, 1, 2]
    for k in (1, 2):
        (row,) = rest[rest["spectrum_index"] == k]
        assert not row["valid"]
        assert row["flags"] & TokenFlag.NO_VALID_PATCH
        assert row["frame_redshift"] == 0.0
    assert spectok.refusals(rest)["reason"][0] == spectok.refusals(tokens)["reason"][0]
    with pytest.raises(ValueError, match="1 of 3 are not finite .* spectrum 0"):
        spectok.to_rest_frame(tokens, [np.nan, 0.0, 0.0])


def test_refused_inputs(tokens):
    for given_, error, message in (
        ([0.1, 0.2], ValueError, r"shape \(2,\), and there are 3 spectra"),
        (np.zeros((3, 1)), ValueError, r"shape \(3, 1\)"),
        ([0.0, -1.0, 0.0], ValueError, "1 of 3 are not finite or not above -1 .* spectrum 1"),
        (np.inf, ValueError, "not finite"),
        (
            3 * u.AA,
            ValueError,
            "redshift cannot be in Angstrom: give plain redshifts, or velocities",
        ),
        (400000 * u.km / u.s, ValueError, "reach the speed of light"),
        (None, TypeError, "not None"),
        ([0.1], ValueError, r"shape \(1,\), and there are 3 spectra"),
        ([-12.0, 30.0, 5.0], ValueError, "velocities need their unit"),
        ([12.0, 30.0, 5.0], ValueError, "velocities need their unit"),
        (object(), TypeError, "not object"),
        ({"z": 1}, TypeError, "not dict"),
    ):
        with pytest.raises(error, match=message):
            spectok.to_rest_frame(tokens, given_)
    for step in (0.0, -1.0, 2.0, np.nan):
        with pytest.raises(ValueError, match="step must be from 1e-06 to 1 dex"):
            spectok.to_rest_frame(tokens, 0.0, step=step)
    for step in (1e-5, 0.1):
        with pytest.raises(ValueError, match="give a step near the length of its patches, 0.0032"):
            spectok.to_rest_frame(tokens, 0.0, step=step)
    for step in ("0.01", 0.01 * u.dex):
        with pytest.raises(TypeError, match="step must be a plain number of dex"):
            spectok.to_rest_frame(tokens, 0.0, step=step)
    with pytest.raises(ValueError, match="light curves"):
        spectok.to_rest_frame(QTable({"time": [0.0] * u.d, "token": [[0.0]]}), 0.0)
    with pytest.raises(TypeError, match="expected a token table"):
        spectok.to_rest_frame(np.zeros(3), 0.0)


@given(
    z=strategies.floats(-0.5, 6.0),
    seed=strategies.integers(0, 100),
    step=strategies.sampled_from([None, 2e-4, 3.2e-3]),
)
def test_any_grid_and_mask(z, seed, step):
    """Patches ascend, do not overlap, good ones are finite, and no spectrum loses all."""
    rng = np.random.default_rng(seed)
    wavelength = np.cumsum(rng.uniform(0.9, 1.1, 640)) * rng.uniform(0.5, 2) + 4000
    flux, mask = rng.normal(1, 0.3, 640), np.repeat(rng.random(20) < 0.3, 32)
    tokens = spectok.encode_arrays(wavelength, flux, ivar=np.full(640, 10.0), mask=mask,
                                   errors="row")  # fmt: skip
    rest = spectok.to_rest_frame(tokens, z, step=step)
    good = rest["valid"]
    assert np.isfinite(rest["token"]).all()
    assert good.any() == tokens["valid"].any()
    if good.any():
        assert (np.diff(rest["wavelength"].value) > 0).all()
        assert (rest["wavelength_min"][1:] > rest["wavelength_max"][:-1]).all()
        # Nothing lies wholly beyond the outer edges of what was seen.
        pixel = (tokens["wavelength_max"] - tokens["wavelength_min"]).max() / 31
        seen = tokens[tokens["valid"]]
        ends = (
            (seen["wavelength_min"] - pixel) / (1 + z),
            (seen["wavelength_max"] + pixel) / (1 + z),
        )
        for low, high in zip(
            rest["wavelength_min"][good], rest["wavelength_max"][good], strict=True
        ):
            assert ((low < ends[1]) & (high > ends[0])).any()
        # Two good patches side by side are at least as long as a new one: their border is kept.
        if step is None:
            half = (rest["wavelength"][good] - rest["wavelength_min"][good]) * 32 / 31
            for k in np.flatnonzero(tokens["valid"][:-1] & tokens["valid"][1:]):
                border = 0.5 * (tokens["wavelength_max"][k] + tokens["wavelength_min"][k + 1])
                apart = np.abs(border / (1 + z) - rest["wavelength"][good])
                assert (apart <= half * (1 + 1e-6)).any()


def test_a_padded_patch_ends_with_its_last_pixel():
    """625 pixels are nineteen patches and a half: what is padded was not observed."""
    wavelength = np.linspace(4000.0, 4975.0, 625)
    tokens = spectok.encode_arrays(wavelength, np.ones(625), ivar=np.full(625, 100.0))
    for step in (1e-3, 5e-4, 2e-4):
        rest = spectok.to_rest_frame(tokens, 0.0, step=step)
        assert rest["wavelength"][rest["valid"]].max() < 4976 * u.AA


def test_a_lone_patch_is_not_lost():
    wavelength = np.linspace(4000.0, 5000.0, 640)
    mask = np.ones(640, bool)
    mask[64:96:2] = mask[65] = False  # 17 pixels of one patch, one more than half
    tokens = spectok.encode_arrays(wavelength, np.ones(640), ivar=np.ones(640), mask=mask)
    assert tokens["valid"].sum() == 1
    for z in np.linspace(0, 0.01, 20):
        assert spectok.to_rest_frame(tokens, z)["valid"].any()


def test_arms_overlap():
    """DESI's arms, one sequence: no hole where two of them see the same."""
    tokens = spectok.encode(simulate.observe("desi-arms", 1, seed=3, arms=True), arms=True)
    rest = spectok.to_rest_frame(tokens, 0.0)
    good = rest[rest["valid"]]
    half = (good["wavelength"] - good["wavelength_min"]) * 32 / 31
    gaps = (good["wavelength"] - half)[1:] - (good["wavelength"] + half)[:-1]
    assert np.abs(gaps.value).max() < 1e-6


def test_several_lengths_are_told():
    spectra = [*simulate.observe("sdss", 1, seed=1), *simulate.observe("desi", 1, seed=1)]
    tokens = spectok.encode(spectra)
    with pytest.warns(AstropyUserWarning, match="patches of several lengths"):
        rest = spectok.to_rest_frame(tokens, 0.0)
    assert rest.meta["FRAME"] == "rest"
    shared = spectok.to_rest_frame(tokens, 0.0, step=STEP)
    assert shared.meta["FRAME"] == "rest, step 0.0032"
    places = [set(item["wavelength"]) for item in spectok.group(shared)]
    assert len(places[0] & places[1]) > 100


# What the vectors are of does not matter here, only what tables say.
@pytest.mark.filterwarnings("ignore:.*spectra at rest are of ordinary resolution")
def test_other_patches_are_refused(tokens):
    """By what learned from tokens as observed, or from those of another step, and by joining."""
    rest = spectok.to_rest_frame(tokens, 0.1)
    other = spectok.to_rest_frame(tokens, 0.1, step=2e-3)
    for one, two in ((tokens, rest), (rest, tokens), (rest, other)):
        with pytest.raises(ValueError, match="bring all spectra to rest, with one step"):
            spectok.concatenate([one, two])
        probe = spectok.probes.linear_probe("regression").fit(spectok.group(one), [1.0, 2.0, 3.0])
        with pytest.raises(ValueError, match="bring all spectra to rest, with one step"):
            probe.predict(spectok.group(two))
    assert len(spectok.embed(rest)) == 3
    for refused in (
        lambda: spectok.probes.load_head("class").predict(spectok.embed(rest)),
        lambda: spectok.probes.first_look(rest),
        lambda: spectok.probes.novelty(rest),
        lambda: spectok.probes.neighbours(rest, tokens),
        lambda: spectok.probes.neighbours(rest[rest["spectrum_index"] == 0]),
    ):
        with pytest.raises(ValueError, match=r"bring (all spectra|both) to rest"):
            refused()
    assert len(spectok.probes.neighbours(rest, other, n=1)) == 3
    # Embeddings have no patches: at rest is at rest.
    vectors = [spectok.embed(table) for table in (rest, other)]
    assert [table.meta["FRAME"] for table in vectors] == ["rest", "rest"]
    probe = spectok.probes.linear_probe("regression").fit(vectors[0], [1.0, 2.0, 3.0])
    assert probe.predict(vectors[1]).shape == (3,)
    assert len(spectok.group(rest, vectors[0])) == 3


def test_the_column_is_ours():
    (spectrum,) = simulate.observe("sdss", 1, seed=1)
    with pytest.raises(ValueError, match="frame_redshift is a column of token tables"):
        spectok.encode(spectrum, keep=["frame_redshift"])


def test_context_goes_along():
    """Numbers of context are interpolated: where they are the same everywhere, they stay."""
    torch.manual_seed(3)
    model = spectok.SpectralTokenizer(spectok.ModelConfig.of_size("tiny", context_size=4)).eval()
    spectra = simulate.observe("sdss", 1, seed=1)
    tokens = spectok.encode(spectra, model=model)
    tokens["token"][:, -5:-1] = [1.0, -2.0, 3.0, 0.5]
    rest = spectok.to_rest_frame(tokens, 0.2)
    assert np.allclose(rest["token"][rest["valid"]][:, -5:-1], [1.0, -2.0, 3.0, 0.5])


def test_the_step_that_is_said_gives_the_same_patches():
    """Copied from the frame of one table it serves for another, to 3 km/s and better."""
    wavelength = 10.0 ** np.arange(3.68, 3.7, 4e-6)
    flux = np.random.default_rng(0).normal(10.0, 1.0, len(wavelength))
    tokens = spectok.encode_arrays(wavelength, flux, ivar=np.ones(len(wavelength)))
    rest = spectok.to_rest_frame(tokens, 1e-4)
    step = float(rest.meta["FRAME"].split()[-1])
    again = spectok.to_rest_frame(tokens, 1e-4, step=step)
    assert step != 1.189e-4 and again.meta["FRAME"] == rest.meta["FRAME"]
    assert np.allclose(again["wavelength"].value, rest["wavelength"].value, rtol=1e-6)
