"""Registry of template files: sources, checksums, and search in folders and caches."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

from astropy.config import ConfigNamespace
from astropy.utils.data import clear_download_cache, download_file

from spectok._conf import Item

__all__ = ["FILES", "conf", "find_template"]

_ROOT = "https://raw.githubusercontent.com/"

# path below a templates folder: (sha256 of the file without .gz, address below _ROOT or None
# where the file was packed from many and has no public copy, licence).
FILES: dict[str, tuple[str, str | None, str]] = {
    "templates/redrock/rrtemplate-QSO-HIZ-v1.1.fits": (
        "71124c5bb8c7b7e77d22227e566a44dbb686bc17b0dad519e526c31f2d7c3aa0",
        "desihub/redrock-templates/110d448e5f6e77c2c9366877d3ddfa2e83f8ccda/"
        "rrtemplate-QSO-HIZ-v1.1.fits",
        "BSD-3",
    ),
    "templates/redrock/rrtemplate-QSO-LOZ-v1.1.fits": (
        "9e375f6d4a658932b3105c9c0102d637fd2fed86930957e594c0d3d06ea593bf",
        "desihub/redrock-templates/110d448e5f6e77c2c9366877d3ddfa2e83f8ccda/"
        "rrtemplate-QSO-LOZ-v1.1.fits",
        "BSD-3",
    ),
    "templates/redrock/rrtemplate-galaxy-old.fits": (
        "8bf83515133a3e8a21f94769f91631a63fdbb20f8ace21b50c3559f72264570b",
        "desihub/redrock-templates/a85ec737371570e8ac067561e11a2b8c9dcea562/"
        "rrtemplate-galaxy.fits",
        "BSD-3",
    ),
    "templates/redrock/rrtemplate-STAR-A-v0.1.fits": (
        "0d7eccffd68f07a97f22577cb59cc05a8b16d33c2276648f04eea6751ab10d51",
        "desihub/redrock-templates/611dde9ba833160959d7981a06d638142e7fbf41/"
        "rrtemplate-STAR-A-v0.1.fits",
        "BSD-3",
    ),
    "templates/redrock/rrtemplate-STAR-B-v0.1.fits": (
        "15523699c2510bccbf11ce6a5f86eaa8fb187073ab7cf388fb779f30261f6e73",
        "desihub/redrock-templates/8d058e6595692fb9c14b1692a6dc8c24a5f7242b/"
        "rrtemplate-STAR-B-v0.1.fits",
        "BSD-3",
    ),
    "templates/redrock/rrtemplate-STAR-F-v0.1.fits": (
        "773a0183252a9c6987738f3ad9e33cbb7f7540292709e71a8ac8487d12a9c947",
        "desihub/redrock-templates/8d058e6595692fb9c14b1692a6dc8c24a5f7242b/"
        "rrtemplate-STAR-F-v0.1.fits",
        "BSD-3",
    ),
    "templates/redrock/rrtemplate-STAR-G-v0.1.fits": (
        "20d10aa2dd2d4c0a76e73c28b26d1a38e010f30452e065208763429cdada0ed1",
        "desihub/redrock-templates/611dde9ba833160959d7981a06d638142e7fbf41/"
        "rrtemplate-STAR-G-v0.1.fits",
        "BSD-3",
    ),
    "templates/redrock/rrtemplate-STAR-K-v0.1.fits": (
        "df2004cd9f3ab427643408d1490a72cda568e939ee9f1d3e9b03d29e6ddae18e",
        "desihub/redrock-templates/611dde9ba833160959d7981a06d638142e7fbf41/"
        "rrtemplate-STAR-K-v0.1.fits",
        "BSD-3",
    ),
    "templates/redrock/rrtemplate-STAR-M-v0.1.fits": (
        "b857b32b59fdc38aaaa0c3de069eff159f1fb57e6c25cb59d8e04120f96ccdb8",
        "desihub/redrock-templates/611dde9ba833160959d7981a06d638142e7fbf41/"
        "rrtemplate-STAR-M-v0.1.fits",
        "BSD-3",
    ),
    "templates/redrock/rrtemplate-STAR-WD-v0.1.fits": (
        "747814532eef1a7f2703efb76d20f49980fcc75f388a6c16238497f6d7e2598b",
        "desihub/redrock-templates/8d058e6595692fb9c14b1692a6dc8c24a5f7242b/"
        "rrtemplate-STAR-WD-v0.1.fits",
        "BSD-3",
    ),
    "templates/redrock/rrtemplate-star-Carbon.fits": (
        "d71bd129b60cd8e1bcece277724bacd86fa0c574ed1abe8c722049c5aca1faf9",
        "desihub/redrock-templates/a48da70410d04efbe47af6c09102339eb760e014/"
        "rrtemplate-star-Carbon.fits",
        "BSD-3",
    ),
    "templates/redrock/rrtemplate-star-Ldwarf.fits": (
        "5691a8ee82dad600caed47a31fc9fa68ee6db5723af94b201c92273b5c780f1a",
        "desihub/redrock-templates/881ba1f368a7e4fca5992115ba8f6b2dc129cfc9/"
        "rrtemplate-star-Ldwarf.fits",
        "BSD-3",
    ),
    "templates/desi_stack_LRG.fits": (
        "cf18860f1814d12e53ffaf1456631923f47368c8e0270c7bf9b5a9ec7531dcc6",
        "desihub/fastspecfit/3387a589304ff124ab3ed7f76487e206c10d1068/"
        "py/fastspecfit/test/data/stack-LRG.fits",
        "BSD-3",
    ),
    "templates/ssp/mastar_ssp_v1.0.npz": (
        "d8ac1d8bd3da5181650c88d333a31b5af7146c80715a3549b7248da73988f9e0",
        None,
        "BSD-3, terms of MaStar",
    ),
    "templates/ssp/mastar_hc_v2_stars.npz": (
        "c61e8add46beeea081584fce9daab968e688418f65fb6c436cd08cd31ee1cad3",
        None,
        "BSD-3, terms of MaStar",
    ),
    "templates/ssp/miuscat_thin.npz": (
        "7b68e76c0b9b5f3a4ab873be5d3ab4886278560ce43398c848258882bb076c74",
        None,
        "BSD-3, terms of MIUSCAT",
    ),
    "templates/ssp/bpass_bin.npz": (
        "24f162ab24771955ed72b34fc75b02f1a232d3046ed5fe06e02e445c1bff8eab",
        None,
        "BSD-3, terms of BPASS",
    ),
    "templates/miles/miles_v9.1_stars.npz": (
        "36fcf91d8df42c5efbb79a08762a8e8bcc539aeaa9e8c39fb461cb1f512d6fec",
        None,
        "BSD-3, terms of MILES",
    ),
    "templates/pyhammer/kesseli2017_templates.npz": (
        "05c3698196b26a88bf0590808092eab2b0a15ba71202b1e83cbbbab912147004",
        None,
        "MIT",
    ),
    "galah/generator/lte_hermes_grid.npz": (
        "1baf8fb61ed3395596a9cb27b982056fd2db309523118d37643ab5ee7a02544b",
        None,
        "of this project",
    ),
    "galah/generator/munari_R20000_normalised.npz": (
        "6c92d2956b12a1e69ff95704e48a7b5de7ed874f9fc1c4f552de4c85840f3e02",
        None,
        "GPL-3",
    ),
    "galah/label_distribution_dr3_6064.fits": (
        "17f75d8755650e055413c1f63b77310f05129702b9bb2fbd971f8583044310f0",
        "kcotar/Priprava-GALAH-podatkov-studenti/76ebc70ed511cbf3983c39c379d9be9a37ca91ea/"
        "GALAH_spektri_vaja_parametri.fits",
        "MIT",
    ),
    "apogee/generator/payne_NN_normalized_spectra.npz": (
        "8055b0bff0b96b83449efe568191020c9339421d6ccce9e44f6b63cfeef75e39",
        "tingyuansen/The_Payne/7d565bf1f088b021f880c46866d4c0ad96855a04/"
        "neural_nets/NN_normalized_spectra.npz",
        "MIT",
    ),
    "apogee/generator/payne_NN_unnormalized_spectra.npz": (
        "606aeb4a94b55a88c568ddea05a57eae2699f352048302a60b891243086d5990",
        "tingyuansen/The_Payne/7d565bf1f088b021f880c46866d4c0ad96855a04/"
        "neural_nets/NN_unnormalized_spectra.npz",
        "MIT",
    ),
    "apogee/generator/apogee_wavelength_7214.npz": (
        "d95ef8b4132afecf745dd45775ab954b9bb7b5ba0f2040ad9d758eff046283c0",
        "tingyuansen/The_Payne/a932979b025d3d968dc956af69058404325a5273/"
        "The_Payne/other_data/apogee_wavelength.npz",
        "MIT",
    ),
    "apogee/generator/cannon_bovy/trained_apokasc_gc_ind_feh_fix.txt": (
        "09f2d45c6df6083015d33b3ead44ecca3d383dbb6d9943f2dc084ce7db74859b",
        "jobovy/apogee/84678d063244eb637ef4ad2e518cfd376ebc34b0/"
        "apogee/spec/cannon/trained/trained_apokasc_gc_ind_feh_fix.txt",
        "BSD-3",
    ),
    "apogee/generator/btsettl_apogee_R22500.npz": (
        "89cd208269da1537df8600c4ff278c31b07c6792c3fe464ab711e4179a6a3b8c",
        None,
        "MIT",
    ),
    "apogee/generator/apg_rvsynthgrid.fits": (
        "89342b23828dab24c5f7c70978a7c173b182fdf52f78d436ef61ba8a6922ccc1",
        None,
        "BSD-3",
    ),
    "apogee/real/annieslasso_671giants_100px.npz": (
        "02f5d2d4277a3210807fe30b0fec0208b4430040cf69f4dbda9652b81d637b94",
        None,
        "MIT",
    ),
}


class Conf(ConfigNamespace):
    """Configuration of `spectok.simulate`: section ``[simulate]`` of ``spectok.cfg``."""

    rootname = "spectok"
    templates = Item(
        "",
        "Folder with template files; empty: SPECTOK_TEMPLATES, else download.",
        module="spectok.simulate",
    )


conf = Conf()


def find_template(name: str, *, folder: str | os.PathLike | None = None) -> Path:
    """Find a template file in a folder, or fetch it through astropy's cache.

    Parameters
    ----------
    name : str
        A key of `FILES`.
    folder : path-like, optional
        Where to look, by the name below the folder or the file's own, with or without ``.gz``
        (but for npz); a file not there is downloaded if it has a public copy. Default: the
        configuration item ``templates``, else the environment variable ``SPECTOK_TEMPLATES``,
        else the file is downloaded.

    Returns
    -------
    path : `pathlib.Path`

    Raises
    ------
    FileNotFoundError
        If the folder has no such file, or the file is in no folder and cannot be downloaded.
    NotADirectoryError
        If there is no such folder.
    OSError
        If its checksum is not the registered one.
    KeyError
        If the name is not registered.
    """
    sha256, address, _ = FILES[name]
    folder = folder or conf.templates or os.environ.get("SPECTOK_TEMPLATES")
    if folder:
        if not Path(folder).is_dir():
            raise NotADirectoryError(
                f"{folder}: no such folder of template files; mend the argument folder, "
                "spectok.simulate.conf.templates or SPECTOK_TEMPLATES, whichever names it"
            )
        path = _in_folder(Path(folder), name)
        if path is not None:
            _check(path, sha256, f"{path}: fetch the file again, or remove it from the folder")
            return path
        if address is None:
            raise FileNotFoundError(
                f"{folder}: no {name} there (nor {Path(name).name}); it was packed from many "
                "files and has no public copy: add it to the folder, or do without its templates"
            )
    if address is None:
        raise FileNotFoundError(
            f"{name} was packed from many files and has no public copy: set SPECTOK_TEMPLATES, or "
            "spectok.simulate.conf.templates, to a folder that has it"
        )
    url = _ROOT + address
    try:
        path = Path(download_file(url, cache=True))
    except (OSError, HTTPException) as error:
        if isinstance(error, HTTPError):
            error.close()  # it is the answer, too
        raise FileNotFoundError(
            f"{name}: cannot be downloaded from {url} ({error}). Without a network set "
            "SPECTOK_TEMPLATES, or spectok.simulate.conf.templates, to a folder that has the file"
        ) from error
    try:
        _check(path, sha256, f"{url}: its damaged copy was removed from the cache; try again")
    except OSError:
        clear_download_cache(url)
        raise
    return path


def _in_folder(folder: Path, name: str) -> Path | None:
    """The file, by its whole name or its last part, compressed or not (npz always is)."""
    for part in (name, Path(name).name):
        for suffix in ("",) if name.endswith(".npz") else ("", ".gz"):
            path = folder / (part + suffix)
            if path.is_file():
                return path
    return None


def _check(path: Path, sha256: str, advice: str) -> None:
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise OSError(f"damaged gzip file ({error}): {advice}") from error
    if found != sha256:
        raise OSError(f"wrong checksum ({found[:12]}, expected {sha256[:12]}): {advice}")
