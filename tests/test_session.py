"""State that is not ours: settings, threads, forks, and the caller's model stay as they were."""

import copy
import os
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import spectok
from spectok._codec._network import exact
from spectok._weights import model_identity

BACKENDS = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)


@pytest.fixture
def encode(make_arrays, tiny):
    """Function (model=tiny, **options) -> tokens of three spectra, always the same."""
    wavelength, flux, sigma = make_arrays(300, 3)
    ivar = sigma**-2
    flux[:, 96:128], ivar[:, 96:128] = np.nan, 0.0

    def encode(model=tiny, **options):
        table = spectok.encode_arrays(wavelength, flux, ivar, model=model, **options)
        spectok.decode(table, table["wavelength"][table["spectrum_index"] == 0], model=model)
        return np.asarray(table["token"])

    return encode


@pytest.fixture
def precision():
    """Gives the settings of matrix products back."""
    before = [one.fp32_precision for one in BACKENDS]
    yield
    for one, was in zip(BACKENDS, before, strict=True):
        one.fp32_precision = was


# ------------------------------------------------------------------ precision of products


@pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "by backend"])
def test_rounded_products_change_nothing_and_stay_allowed(encode, precision, legacy):
    right = encode()
    if legacy:
        torch.set_float32_matmul_precision("medium")
    else:
        BACKENDS[0].fp32_precision, BACKENDS[1].fp32_precision = "tf32", "bf16"
    assert np.array_equal(encode(), right)
    assert [one.fp32_precision for one in BACKENDS] == ["tf32", "bf16"]


def test_the_last_thread_that_leaves_gives_the_settings_back(tiny, precision):
    BACKENDS[1].fp32_precision = "bf16"
    inside, leave = threading.Event(), threading.Event()

    def other():
        with exact(tiny):
            inside.set()
            leave.wait(60)
            return BACKENDS[1].fp32_precision

    with ThreadPoolExecutor(1) as pool:
        with exact(tiny):
            found = pool.submit(other)
            assert inside.wait(60) and BACKENDS[1].fp32_precision == "ieee"
        assert BACKENDS[1].fp32_precision == "ieee", "the other one is still computing"
        leave.set()
        assert found.result() == "ieee"
    assert BACKENDS[1].fp32_precision == "bf16"


def test_what_others_set_meanwhile_is_theirs(tiny, precision):
    BACKENDS[1].fp32_precision = "bf16"
    with exact(tiny):
        BACKENDS[1].fp32_precision = "tf32"
    assert BACKENDS[1].fp32_precision == "tf32"


def test_settings_come_back_after_an_error(tiny, precision):
    BACKENDS[1].fp32_precision = "bf16"
    with pytest.raises(KeyError), exact(tiny):
        raise KeyError
    assert BACKENDS[1].fp32_precision == "bf16"


def test_threads_do_not_race(make_arrays, tiny_folder, precision):
    """Nor where products may be rounded, and each thread asks for a model by its folder."""

    def job(seed):
        wavelength, flux, sigma = make_arrays(400, 2, seed)
        return np.asarray(
            spectok.encode_arrays(wavelength, flux, sigma**-2, model=tiny_folder)["token"]
        )

    right = [job(seed) for seed in range(8)]
    BACKENDS[1].fp32_precision = "bf16"
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(job, range(8)))
    assert BACKENDS[1].fp32_precision == "bf16"
    for one, other in zip(right, found, strict=True):
        assert np.array_equal(one, other)


# ------------------------------------------------------------------ other settings


def test_settings_of_the_session_change_nothing(encode, tiny_folder):
    right = encode()
    before = np.seterr(all="raise")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert np.array_equal(encode(), right)
    finally:
        np.seterr(**before)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert np.array_equal(encode(), right)
    with torch.inference_mode():
        assert np.array_equal(encode(), right)
        model = spectok.load_model(tiny_folder)
        assert np.array_equal(encode(copy.deepcopy(model)), right)
    assert not any(p.is_inference() for p in model.parameters())
    torch.use_deterministic_algorithms(True)
    try:
        assert np.allclose(encode(), right, atol=1e-5)
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("kind", [torch.float64, torch.float16])
def test_the_default_dtype_of_torch_changes_nothing(encode, tiny_folder, kind):
    right = encode()
    torch.set_default_dtype(kind)
    try:
        model = spectok.load_model(tiny_folder)
        assert all(p.dtype == torch.float32 for p in model.parameters())
        assert np.array_equal(encode(model), right)
        new = spectok.SpectralTokenizer(spectok.ModelConfig.of_size("tiny"))
        assert next(new.parameters()).dtype == kind
        assert encode(new).dtype == np.float32
    finally:
        torch.set_default_dtype(torch.float32)


FORK = """
import multiprocessing, sys, numpy as np, torch, spectok
model = spectok.load_model(sys.argv[1])
def job(seed):
    flux = np.random.RandomState(seed).normal(10, 1, (4, 3840))
    wavelength = 4000 + np.arange(3840.0)
    tokens = spectok.encode_arrays(wavelength, flux, np.ones((4, 3840)), model=model)
    spectok.decode(tokens, tokens["wavelength"][:50], model=model)
    return np.asarray(tokens["token"])
torch.set_num_threads(2)
right = job(0)
with multiprocessing.get_context("fork").Pool(1) as pool:
    found = pool.map_async(job, [0]).get(timeout=240)[0]
assert np.allclose(found, right, atol=1e-4)
assert torch.get_num_threads() == 2  # the parent's are its own
print("ended")
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="this system does not fork")
def test_a_forked_child_computes_and_ends(tiny_folder):
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK, str(tiny_folder)],
        capture_output=True, text=True, env=environment, timeout=300,
    )  # fmt: skip
    assert done.stdout.strip() == "ended", done.stderr[-2000:]


# ------------------------------------------------------------------ the caller's model


def test_a_call_for_another_device_leaves_the_model_where_it_was(encode, tiny_folder):
    model = spectok.load_model(tiny_folder)
    state = [(p.data_ptr(), p.dtype) for p in model.parameters()]
    with pytest.raises(ValueError, match="device 'meta' cannot be used; at hand: cpu"):
        encode(model, device="meta")
    if torch.cuda.is_available():
        assert np.allclose(encode(model, device="cuda"), encode(model), atol=1e-4)
    assert [(p.data_ptr(), p.dtype) for p in model.parameters()] == state
    encode(model, device="cpu")
    assert [(p.data_ptr(), p.dtype) for p in model.parameters()] == state


@pytest.mark.slow
@pytest.mark.parametrize("kind", [torch.float64, torch.float16, torch.bfloat16])
def test_a_model_that_was_cast_computes_in_float32(encode, tiny_folder, kind):
    model = spectok.load_model(tiny_folder)
    cast = copy.deepcopy(model).to(kind)
    found = encode(cast)
    assert all(p.dtype == kind for p in cast.parameters())
    assert np.array_equal(found, encode(copy.deepcopy(cast).float()))
    if kind == torch.float64:  # which loses nothing
        assert np.array_equal(found, encode(model))
        assert model_identity(cast) == model_identity(model)


def test_a_change_of_the_model_reaches_its_copies(encode, tiny_folder):
    model = spectok.load_model(tiny_folder).double()
    before = encode(model)
    with torch.no_grad():
        model.to_token.bias += 0.5
    after = encode(model)
    assert np.abs(after - before).max() > 0.1
    assert np.array_equal(after, encode(copy.deepcopy(model)))


def test_a_model_without_numbers_is_refused_by_name(encode):
    with torch.device("meta"):
        model = spectok.SpectralTokenizer(spectok.ModelConfig.of_size("tiny"))
    with pytest.raises(ValueError, match="this model has no numbers"):
        encode(model)
