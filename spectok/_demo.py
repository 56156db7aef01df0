"""``spectok demo``: real spectra that every installation has, there and back again."""

from __future__ import annotations

import warnings
from importlib import resources
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spectok._hidden import BLOCK, hidden_blocks

if TYPE_CHECKING:
    from astropy.table import Table
    from specutils import Spectrum, SpectrumList

__all__ = ["flatten", "run"]

_TOKENS, _PICTURE = "spectok-demo-tokens.fits", "spectok-demo.png"
_CONTINUUM = 101  # pixels over which what is no line is smooth
_CLOSE = 0.012  # share of its wavelength on each side of a line


def run(file: str | PathLike[str] | None = None, folder: str | PathLike[str] = ".") -> bool:
    """Encode and decode spectra with hidden blocks; write tokens and a picture.

    Parameters
    ----------
    file : path, optional
        A spectrum file; by default a bright mock spectrum, of which the truth is known and the
        strongest line is hidden, too; and the DESI coadd that specutils installs, whose targets
        are faint.
    folder : path
        Where the token table and the picture go.

    Returns
    -------
    drawn : bool
        Whether any spectrum has a good patch.
    """
    from spectok import concatenate, simulate, surveys

    if file is None:
        sets = [("mock galaxy on DESI's grid", simulate.observe("desi", kind="galaxy", snr=25))]
        data = resources.files("specutils") / "io/default_loaders/tests/desi_test_data"
        with resources.as_file(data / "coadd-sv3-dark-26065.fits") as path:
            sets.append((f"real DESI coadd {path.name}", surveys.read(path)))
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
    return bool(panels)


def _there_and_back(title: str, spectra: SpectrumList) -> tuple[Table, Any]:
    """Encode with hidden blocks, decode, report; the panel shows the brightest spectrum."""
    from astropy.table import unique

    from spectok import encode
    from spectok._codec import decode_arms
    from spectok._convert import are_arms

    arms = are_arms(spectra)
    if not arms and len(spectra) > 1:
        print(
            f"  showing the first of {len(spectra)} spectra; encode the others with spectok encode"
        )
        spectra = spectra[:1]
    stacks = [flatten(one) for one in spectra]
    hidden = [_hide(one, seed) for seed, one in enumerate(stacks)]
    withheld = [_with_mask(one, hide) for one, hide in zip(stacks, hidden, strict=True)]
    with warnings.catch_warnings():
        # Dead fibres and estimated noise are reported below.
        warnings.filterwarnings("ignore", message=".*(not one good patch|without an uncertainty)")
        tokens = encode(withheld, arms=arms)
    objects = unique(tokens, keys="spectrum_index")
    usable = {int(i) for i in tokens["spectrum_index"][tokens["valid"]]}
    dead = [
        f"  {row['object_id']}: no good patch (a dead fibre?), no token"
        for row in objects
        if int(row["spectrum_index"]) not in usable
    ]
    print(
        f"  {len(objects)} spectra, {int(tokens['valid'].sum())} valid tokens of "
        f"{tokens['token'].shape[1]} numbers"
    )
    if not usable:
        print(*dead, sep="\n")
        return tokens, None
    again = decode_arms(
        tokens, [one.spectral_axis for one in stacks], medium=stacks[0].meta.get("medium")
    )
    decoded = [flatten(one) for one in again]
    best, brightest = None, -np.inf
    for index in sorted(usable):
        parts = [
            (one[index], again[index], hide[index])
            for one, again, hide in zip(stacks, decoded, hidden, strict=True)
        ]
        snr, squares, unscored = _residuals(parts)
        name = objects["object_id"][index]
        if squares.size:
            score = f"median r^2 / 0.4549 = {np.median(squares) / 0.4549:.2f} (1 is the noise)"
            if unscored:
                score += f", {unscored} more beyond every token"
            print(f"  {name}: S/N {snr:.2g} per pixel, {squares.size} hidden pixels, {score}")
        else:
            print(f"  {name}: no errors came with it, or too few pixels: no score")
        if best is None or snr > brightest:
            label = f", S/N {snr:.2g} per pixel" if np.isfinite(snr) else ""
            best, brightest = (parts, f"{title}: {name}{label}"), snr
    for sentence in dead:
        print(sentence)
    return tokens, best


def flatten(spectrum: Spectrum) -> Spectrum:
    """A spectrum of any shape as rows (N, L) in its own unit, its error a standard deviation."""
    from astropy import units as u
    from astropy.nddata import StdDevUncertainty
    from specutils import Spectrum

    from spectok._convert import numbers_of

    _, *arrays = numbers_of(spectrum)
    flux, sigma, good = (a.reshape(-1, a.shape[-1]) for a in arrays)
    return Spectrum(
        flux=u.Quantity(flux, spectrum.flux.unit),
        spectral_axis=spectrum.spectral_axis,
        uncertainty=None if spectrum.uncertainty is None else StdDevUncertainty(sigma),
        mask=~good,
        meta=spectrum.meta,
        spectral_axis_index=1,
    )


def _hide(stack: Spectrum, seed: int) -> np.ndarray:
    """Hidden blocks of every row, (N, L); of a mock its strongest line as well."""
    rng = np.random.default_rng(seed)
    hidden = np.stack([hidden_blocks(good, rng) for good in ~np.asarray(stack.mask)])
    truth = _truth(stack)
    if truth is not None:
        for row, flux in enumerate(np.atleast_2d(truth.value)):
            place = _strongest_line(flux)
            hidden[row, max(place - BLOCK, 0) : place + BLOCK] = True
        hidden &= ~np.asarray(stack.mask)
    return hidden


def _truth(spectrum: Spectrum) -> Any:
    """The noise-free flux of a mock, a `~astropy.units.Quantity`; None for what is real."""
    from astropy import units as u

    truth = (spectrum.meta or {}).get("truth")
    return None if truth is None else u.Quantity(truth, spectrum.flux.unit)


def _strongest_line(flux: np.ndarray) -> int:
    """The pixel that stands out most from its surroundings; the ends are left out."""
    from scipy.ndimage import median_filter

    height = np.abs(flux - median_filter(flux, _CONTINUUM))
    height[:_CONTINUUM] = height[-_CONTINUUM:] = 0.0
    return int(height.argmax())


def _with_mask(stack: Spectrum, hidden: np.ndarray) -> Spectrum:
    """The same spectra with more pixels masked: encode never looks at those."""
    from specutils import Spectrum

    return Spectrum(
        flux=stack.flux,
        spectral_axis=stack.spectral_axis,
        uncertainty=stack.uncertainty,
        mask=np.asarray(stack.mask) | hidden,
        meta=stack.meta,
        spectral_axis_index=1,
    )


def _residuals(parts: list[tuple[Any, Any, np.ndarray]]) -> tuple[float, np.ndarray, int]:
    """Signal to noise, squared residuals of hidden pixels over errors, and those left out."""
    from spectok._convert import numbers_of

    snr, squares, unscored = [], [], 0
    for spectrum, again, hide in parts:
        _, flux, sigma, good = numbers_of(spectrum)
        known = np.isfinite(again.flux.value)
        wanted = hide & good & np.isfinite(sigma)
        unscored += int((wanted & ~known).sum())
        wanted &= known
        snr.append((np.abs(flux) / sigma)[good])
        residual = (flux - again.flux.to_value(spectrum.flux.unit))[wanted]
        squares.append((residual / sigma[wanted]) ** 2)
    pixels = np.concatenate(snr)
    return (float(np.median(pixels)) if pixels.size else np.nan), np.concatenate(squares), unscored


def _draw(panels: list[Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from spectok.plotting import plot_reconstruction

    # A mock is drawn twice: whole, and where its strongest line was hidden.
    views = []
    for parts, title in panels:
        spectrum, again, hidden = (list(part) for part in zip(*parts, strict=True))
        truth = _truth(spectrum[0])
        views.append((spectrum, again, hidden, title, truth, None))
        if truth is not None:
            place = spectrum[0].spectral_axis[_strongest_line(truth.value)]
            close = "closer, where the strongest line was hidden from the encoder"
            views.append((spectrum, again, hidden, close, truth, place))
    figure, axes = plt.subplots(
        2 * len(views), 1, figsize=(11, 4.6 * len(views)), layout="constrained",
        height_ratios=(3, 1) * len(views),
    )  # fmt: skip
    for number, (spectrum, again, hidden, title, truth, place) in enumerate(views):
        pair = axes[2 * number : 2 * number + 2]
        pair[1].sharex(pair[0])
        plot_reconstruction(spectrum, again, hidden=hidden, axes=pair, title=title)
        if truth is not None:
            pair[0].plot(spectrum[0].spectral_axis, truth, color="k", lw=0.8, label="truth")
            pair[0].legend(loc="upper right", ncols=3, fontsize="small", framealpha=0.9)
        if place is not None:
            near = np.abs(spectrum[0].spectral_axis - place) < _CLOSE * place
            inside = np.ptp(truth[near])
            pair[0].set_xlim((1 - _CLOSE) * place, (1 + _CLOSE) * place)
            pair[0].set_ylim(truth[near].min() - 0.4 * inside, truth[near].max() + 0.8 * inside)
    figure.savefig(path, dpi=130)
    plt.close(figure)
