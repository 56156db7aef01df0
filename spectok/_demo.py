"""``spectok demo``: real spectra that every installation has, there and back again."""

from __future__ import annotations

import warnings
from importlib import resources
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from astropy.table import Table
    from specutils import Spectrum, SpectrumList

__all__ = ["run"]

_BLOCK, _SHARE = 12, 0.10
_TOKENS, _PICTURE = "spectok-demo-tokens.fits", "spectok-demo.png"


def run(file: str | PathLike[str] | None = None, folder: str | PathLike[str] = ".") -> None:
    """Encode and decode spectra with hidden blocks; write tokens and a picture.

    Parameters
    ----------
    file : path, optional
        A spectrum file; by default the DESI coadd that specutils installs, and a bright mock
        spectrum, because the DESI targets are faint.
    folder : path
        Where the token table and the picture go.
    """
    from spectok import concatenate, simulate, surveys

    if file is None:
        data = resources.files("specutils") / "io/default_loaders/tests/desi_test_data"
        with resources.as_file(data / "coadd-sv3-dark-26065.fits") as path:
            sets = [(f"real DESI coadd {path.name}", surveys.read(path))]
        sets.append(
            ("mock galaxy on DESI's grid", simulate.observe("desi", kind="galaxy", snr=25))
        )
    else:
        sets = [(Path(file).name, surveys.read(file))]
    tables, panels = [], []
    for title, spectra in sets:
        print(f"{title}:")
        tokens, panel = _there_and_back(title, spectra)
        tables.append(tokens)
        if panel is not None:
            panels.append(panel)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    concatenate(tables).write(folder / _TOKENS, overwrite=True)
    print(f"token table: {(folder / _TOKENS).resolve()}")
    if panels:
        _draw(panels, folder / _PICTURE)
        print(f"picture:     {(folder / _PICTURE).resolve()}")
    else:
        print("no picture: not one spectrum has a good patch")


def are_arms(spectra: SpectrumList) -> bool:
    """Whether the members of a list are arms of the same objects, as a reader marked them."""
    return len(spectra) > 1 and all("arm" in (one.meta or {}) for one in spectra)


def _there_and_back(title: str, spectra: SpectrumList) -> tuple[Table, Any]:
    """Encode with hidden blocks, decode, report; the panel shows the brightest spectrum."""
    from astropy.table import unique

    from spectok import decode, encode

    arms = are_arms(spectra)
    if not arms:
        spectra = spectra[:1]
    hidden = [_hidden_blocks(one, seed) for seed, one in enumerate(spectra)]
    withheld = [_with_mask(one, hide) for one, hide in zip(spectra, hidden, strict=True)]
    with warnings.catch_warnings():
        # Dead fibres are reported below, one by one.
        warnings.filterwarnings("ignore", message=".*not one good patch")
        tokens = encode(withheld, arms=arms)
    objects = unique(tokens, keys="spectrum_index")
    usable = {int(i) for i in tokens["spectrum_index"][tokens["valid"]]}
    for row in objects:
        if int(row["spectrum_index"]) not in usable:
            print(f"  {row['object_id']}: no good pixel (a dead fibre?), no token")
    print(
        f"  {len(objects)} spectra, {int(tokens['valid'].sum())} valid tokens of "
        f"{tokens['token'].shape[1]} numbers"
    )
    if not usable:
        return tokens, None
    decoded = [decode(tokens, one.spectral_axis) for one in spectra]
    best, score = None, {}
    for index in sorted(usable):
        parts = [
            (_row(one, index), _row(again, index), _row(hide, index))
            for one, again, hide in zip(spectra, decoded, hidden, strict=True)
        ]
        snr, squares = _residuals(parts)
        score[index] = snr
        name = objects["object_id"][index]
        print(
            f"  {name}: S/N {snr:.2g} per pixel, {squares.size} hidden pixels, "
            f"median r^2 / 0.4549 = {np.median(squares) / 0.4549:.2f} (1 is the noise)"
        )
        if best is None or snr > score[best[0]]:
            best = (index, parts, f"{title}: {name}, S/N {snr:.2g} per pixel")
    return tokens, best


def _good(spectrum: Spectrum) -> tuple[np.ndarray, np.ndarray]:
    """Good pixels, and the standard deviation, of a spectrum of any shape."""
    from astropy.nddata import StdDevUncertainty

    good = np.isfinite(spectrum.flux.value)
    if spectrum.mask is not None:
        good &= ~np.asarray(spectrum.mask, dtype=bool)
    if spectrum.uncertainty is None:
        return good, np.full(good.shape, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        sigma = spectrum.uncertainty.represent_as(StdDevUncertainty).array
    return good & np.isfinite(sigma) & (sigma > 0), sigma


def _hidden_blocks(spectrum: Spectrum, seed: int) -> np.ndarray:
    """Blocks of 12 good pixels, together a tenth of each spectrum; shape of the flux."""
    good = np.isfinite(spectrum.flux.value)
    if spectrum.uncertainty is not None:
        good = _good(spectrum)[0]
    rng = np.random.default_rng(seed)
    hidden = np.zeros(good.shape, bool)
    for row in np.ndindex(good.shape[:-1]):
        n_pixels = good.shape[-1]
        starts = np.arange(0, n_pixels - _BLOCK, 2 * _BLOCK)
        starts = starts[[bool(good[row][s : s + _BLOCK].all()) for s in starts]]
        number = min(len(starts), int(_SHARE * good[row].sum() / _BLOCK))
        for start in rng.choice(starts, number, replace=False) if number else ():
            hidden[row][start : start + _BLOCK] = True
    return hidden


def _with_mask(spectrum: Spectrum, hidden: np.ndarray) -> Spectrum:
    """The same spectrum with more pixels masked: encode never looks at those."""
    from specutils import Spectrum

    mask = hidden if spectrum.mask is None else np.asarray(spectrum.mask, dtype=bool) | hidden
    return Spectrum(
        flux=spectrum.flux,
        spectral_axis=spectrum.spectral_axis,
        uncertainty=spectrum.uncertainty,
        mask=mask,
        meta=spectrum.meta,
    )


def _row(values: Any, index: int) -> Any:
    """One spectrum of a stack; the thing itself where there is one only."""
    flux = getattr(values, "flux", values)
    return values[index] if flux.ndim > 1 else values


def _residuals(parts: list[tuple[Any, Any, np.ndarray]]) -> tuple[float, np.ndarray]:
    """Median signal to noise per pixel, and squared residuals of hidden pixels over errors."""
    snr, squares = [], []
    for spectrum, again, hide in parts:
        good, sigma = _good(spectrum)
        flux = spectrum.flux.value
        snr.append((np.abs(flux) / sigma)[good])
        scored = good & hide & np.isfinite(again.flux.value)
        residual = flux - again.flux.to_value(spectrum.flux.unit)
        squares.append(((residual / sigma) ** 2)[scored])
    pixels = np.concatenate(snr)
    return (float(np.median(pixels)) if pixels.size else np.nan), np.concatenate(squares)


def _draw(panels: list[Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from spectok.plotting import plot_reconstruction

    figure, axes = plt.subplots(
        2 * len(panels), 1, figsize=(11, 4.6 * len(panels)), layout="constrained",
        height_ratios=(3, 1) * len(panels),
    )  # fmt: skip
    for number, (_, parts, title) in enumerate(panels):
        spectrum, again, hidden = (list(part) for part in zip(*parts, strict=True))
        pair = axes[2 * number : 2 * number + 2]
        pair[1].sharex(pair[0])
        plot_reconstruction(spectrum, again, hidden=hidden, axes=pair, title=title)
    figure.savefig(path, dpi=130)
    plt.close(figure)
