"""The same tokens on a GPU; skipped where there is none."""

import numpy as np
import pytest
import torch

import spectok
from spectok import simulate

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture(scope="module")
def spectra():
    return [simulate.observe(survey, seed=4)[0] for survey in ("sdss", "desi", "apogee")]


def test_tokens_agree_across_devices(spectra, rms_difference):
    assert not torch.backends.cuda.matmul.allow_tf32
    here = spectok.encode(spectra)
    there = spectok.encode(spectra, device="cuda")
    assert rms_difference(here["token"], there["token"]) < 1e-4
    np.testing.assert_allclose(here["scale"], there["scale"], rtol=1e-6)


def test_decoding_agrees_across_devices(spectra):
    tokens = spectok.encode(spectra)
    axis = spectra[0].spectral_axis
    here = spectok.decode(tokens, axis)
    there = spectok.decode(tokens, axis, device="cuda")
    np.testing.assert_array_equal(here.mask, there.mask)
    scale = np.nanmedian(here.flux.value)
    np.testing.assert_allclose(here.flux.value, there.flux.value, atol=1e-3 * scale, rtol=1e-3)


def test_a_batch_of_other_lengths_changes_nothing(spectra, rms_difference):
    alone = spectok.encode(spectra[0], device="cuda")
    together = spectok.encode(spectra, device="cuda")
    together = together[np.asarray(together["spectrum_index"]) == 0]
    assert rms_difference(alone["token"], together["token"]) < 1e-5


def test_embeddings_on_shared_patches_agree_across_devices(spectra):
    """Spectra that are cut anew there and read at places, and APOGEE's, which are not."""
    from spectok.model._reading import places_of
    from spectok.model._shared import patch_edges, patch_place

    torch.manual_seed(0)
    config = spectok.ModelConfig.of_size(
        "tiny", embedding_size=8, reader_step=3.2e-3, reader_places=140
    )
    model = spectok.SpectralTokenizer(config)
    place, length = places_of(*patch_place(*patch_edges(1112, 1252, 3.2e-3), 32))
    model.reader.reading.place.copy_(place)
    model.reader.reading.length.copy_(length)
    here = spectok.embed(spectra, model=model)
    there = spectok.embed(spectra, model=model, device="cuda")
    np.testing.assert_allclose(here["embedding"], there["embedding"], atol=1e-3)


@pytest.mark.parametrize("compiled", [False, True])
def test_training_on_the_device(compiled, tmp_path):
    """Mock observations made there, both optimizers' kernels, the same losses as on the CPU."""
    pytest.importorskip("lightning", reason="the extra 'training' is not installed")
    import csv

    from spectok.training import Batches, MockSpectra, Validation, fit, training_simulators

    def batches(device, seed):
        simulators = training_simulators(surveys=("sdss", "apogee"), varied=1, device=device)
        mixture = {survey: {"mock": 1.0} for survey in simulators}
        return Batches(
            {"mock": MockSpectra(simulators)}, mixture, patch_size=32, n_tokens=2000, seed=seed
        )

    torch.manual_seed(0)
    model = spectok.SpectralTokenizer(spectok.ModelConfig.of_size("tiny"))
    made = batches("cuda", 1)
    assert made[0].seen.flux.device.type == "cuda"
    fit(
        model, made, tmp_path, steps=6, accumulate=2, warmup=2, accelerator="cuda",
        precision="bf16-mixed", compile=compiled, checkpoint_every=3, progress=False,
        validate=Validation(batches("cuda", 2), range(2), pictures=1),
    )  # fmt: skip
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["3", "6"]
    assert 0 < float(rows[1]["error_visible"]) < 2
    assert float(rows[1]["mfu"]) > 0
