"""What several tests share."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Before torch is imported: tiny models gain nothing from threads, and on a busy machine
# threads that wait for each other made the suite five times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples every time, and no deadline: other jobs may share the machine.
settings.register_profile("spectok", deadline=None, derandomize=True, database=None)
settings.load_profile("spectok")


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real spectra: $SPECTOK_DATA, or shared/data beside the repository."""
    named = os.environ.get("SPECTOK_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not (folder / "MANIFEST.md").is_file():
        pytest.skip(f"no real spectra in {folder}: set SPECTOK_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def desi_data():
    """The DESI files that are installed with specutils."""
    import specutils

    folder = Path(specutils.__file__).parent / "io/default_loaders/tests/desi_test_data"
    if not folder.is_dir():
        pytest.skip("this specutils was installed without its test data")
    return folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """A tiny tokenizer on disk whose every weight matters: what comes out depends on all of it."""
    import torch

    import spectok

    torch.manual_seed(20)
    model = spectok.SpectralTokenizer(spectok.ModelConfig.of_size("tiny"))
    with torch.no_grad():
        torch.nn.init.normal_(model.to_token.weight, std=0.1)
        for embedding in (model.embed_wavelength, model.embed_output):
            torch.nn.init.normal_(embedding.project.weight, std=0.2)
        torch.nn.init.normal_(model.to_pixels.weight, std=0.2)
        for block in model.decoder:
            torch.nn.init.normal_(block.attend_cross.out.weight, std=0.2)
    return spectok.save_model(model, tmp_path_factory.mktemp("models") / "tiny-test")


@pytest.fixture(scope="session")
def tiny(tiny_folder):
    """That tokenizer, loaded. Do not change it: load your own from ``tiny_folder``."""
    import spectok

    return spectok.load_model(tiny_folder)


@pytest.fixture(scope="session")
def make_arrays():
    """Function (n_pixels, n_spectra=None, seed=0) -> wavelength, flux, sigma; no units."""
    import numpy as np

    def make(n_pixels, n_spectra=None, seed=0):
        rng = np.random.default_rng(seed)
        shape = (n_pixels,) if n_spectra is None else (n_spectra, n_pixels)
        wavelength = 4000.0 + 1.3 * np.arange(n_pixels)
        sigma = rng.uniform(0.5, 1.5, shape)
        flux = 20 + 5 * np.sin(wavelength / 37) + rng.normal(0.0, 1.0, shape) * sigma
        return wavelength, flux, sigma

    return make


@pytest.fixture(scope="session")
def rms_difference():
    """Function (tokens, tokens) -> their largest difference over the first one's rms."""
    import numpy as np

    def difference(a, b):
        a, b = (np.asarray(x, dtype=np.float64) for x in (a, b))
        assert a.shape == b.shape
        return float(np.abs(a - b).max() / np.sqrt((a**2).mean()))

    return difference
