"""What several tests share."""

import os
from pathlib import Path

import pytest


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
