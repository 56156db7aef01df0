"""Redshifts by a plain template fit: what a probe's redshifts are compared with.

At every redshift a spectrum is fitted, by weighted least squares, with the principal components
of redrock's templates (Guy et al. 2023, AJ 165, 144; Brodzeller et al. 2023, AJ 166, 66) and a
polynomial, as in Bolton et al. (2012, AJ 144, 144), which takes up dust and errors of the flux
calibration; the least chi-square wins. Spectrum and templates stand on one grid of 1e-4 dex
(69 km/s), on which a redshift is a shift: the normal equations of all redshifts are correlations,
which FFTs give, and their small systems are solved at once. A parabola refines the minimum.

What the full redrock does and this does not: bring templates to the resolution of the spectrum;
archetypes; priors. The mean absorption by the forest of Lyman alpha (Kamble et al. 2020, ApJ 892,
70), which was taken out of the high-redshift quasars, is put back: there a template is a function
at rest times one of the observed wavelength, which FFTs take as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spectok.simulate.objects._sources._resampling import read_basis

STEP = 1e-4  # dex
LIGHT = 299792.458  # km/s
APART = 1000.0  # km/s: minima closer than this are one
CLOSE = 9.0  # two minima with less between their chi-squares are not told apart
RIDGE = 1e-10
FOREST = (1025.72, 1215.67)  # Angstrom, at rest
# Kind, file, redshifts that it serves, wavelength that must be seen, whether the forest is put in.
# One vector of the galaxies is almost [O II] alone: without the line it can be any continuum.
FILES = (
    ("galaxy", "rrtemplate-galaxy-old.fits", -0.005, 1.7, 3730.0, False),
    ("quasar", "rrtemplate-QSO-LOZ-v1.1.fits", 0.05, 1.6, None, False),
    ("quasar", "rrtemplate-QSO-HIZ-v1.1.fits", 1.4, 6.0, None, True),
)
STARS = (
    *(f"rrtemplate-STAR-{name}-v0.1.fits" for name in "ABFGKM"),
    "rrtemplate-STAR-CV-v0.1.fits.gz", "rrtemplate-STAR-WD-v0.1.fits.gz",
    "rrtemplate-star-Carbon.fits", "rrtemplate-star-Ldwarf.fits",
)  # fmt: skip
STAR_RANGE = (-0.002, 0.002)


@dataclass(frozen=True, eq=False)
class Template:
    """Vectors of one kind of object at rest, on the grid of 1e-4 dex.

    Attributes
    ----------
    kind, name : str
    first : int
        Wavelength of the first pixel: ``10**(first * STEP)`` Angstrom, vacuum.
    vectors : array, shape (K, T)
    low, high : float
        Redshifts between which it is fitted.
    needs : float, optional
        Wavelength at rest [Angstrom] that redshifts must not bring beyond the spectrum's end.
    forest : bool
        Whether the forest of Lyman alpha is to be put into it.
    """

    kind: str
    name: str
    first: int
    vectors: NDArray[np.float64]
    low: float
    high: float
    needs: float | None = None
    forest: bool = False
    _transforms: dict[int, list[tuple[NDArray, NDArray]]] = field(default_factory=dict)

    def transforms(self, n: int) -> list[tuple[NDArray, NDArray]]:
        """Transforms of vectors and of their products, outside the forest and, if any, in it."""
        if n not in self._transforms:
            a, b = np.triu_indices(len(self.vectors))
            wavelength = 10.0 ** ((self.first + np.arange(self.length)) * STEP)
            inside = (wavelength > FOREST[0]) & (wavelength < FOREST[1]) & self.forest
            parts = [self.vectors * part for part in (~inside, inside)[: 1 + self.forest]]
            self._transforms[n] = [
                (np.fft.rfft(part, n), np.fft.rfft(part[a] * part[b], n)) for part in parts
            ]
        return self._transforms[n]

    @property
    def length(self) -> int:
        return self.vectors.shape[1]


@dataclass(frozen=True, eq=False)
class Fit:
    """The best redshift of a spectrum, and what else was found."""

    redshift: float
    kind: str
    name: str
    # Pixels that the template does not reach count 1 each, as if they fitted.
    chi2: float
    # To the next best minimum more than 1,000 km/s away, of any template.
    dchi2: float
    n_pixels: int
    # dchi2 is below 9, or the minimum is the end of a range of redshifts.
    warning: bool
    # Redshifts and chi-squares of each template, by name.
    curves: dict[str, tuple[NDArray, NDArray]]
    # Redshift and chi-square of the best of each kind.
    best: dict[str, tuple[float, float]]


def read_templates(
    folder: str | Path, *, stars: bool = False, forest: bool = True
) -> list[Template]:
    """The galaxies and quasars of redrock, with ``stars`` also its stars, from its files.

    ``forest=False`` is for mocks made of the very vectors, whose forest was never put back.
    """
    files = FILES + tuple(("star", name, *STAR_RANGE, None, False) for name in STARS if stars)
    out = []
    for kind, name, *rest, own in files:
        wavelength, vectors, _ = read_basis(Path(folder) / name)
        short = name.removeprefix("rrtemplate-").partition(".fits")[0]
        out.append(make_template(kind, short, wavelength, vectors, *rest, own and forest))
    return out


def make_template(
    kind: str,
    name: str,
    wavelength: ArrayLike,
    vectors: ArrayLike,
    low: float,
    high: float,
    needs: float | None = None,
    forest: bool = False,
) -> Template:
    """Vectors (K, L) at vacuum wavelengths [Angstrom] at rest, averaged over pixels."""
    first, mean, weight = rebin(wavelength, vectors, np.ones(np.shape(vectors)))
    inside = (weight > 0).all(0)
    start, stop = np.flatnonzero(inside)[[0, -1]]
    mean = mean[:, start : stop + 1]
    # Vectors of like size, or the ridge would not mean the same to all.
    mean = mean / np.sqrt((mean**2).mean(1, keepdims=True))
    return Template(kind, name, first + int(start), mean, low, high, needs, forest)


def rebin(
    wavelength: ArrayLike, flux: ArrayLike, ivar: ArrayLike
) -> tuple[int, NDArray[np.float64], NDArray[np.float64]]:
    """Weighted means over pixels of 1e-4 dex.

    ``flux`` and ``ivar`` are (..., L), wavelengths (L,) ascend without gaps. Returns the number of
    the first pixel (at ``10**(first * STEP)`` Angstrom), flux and inverse variance, of which a
    pixel gives to those that it overlaps.
    """
    wavelength, flux, ivar = (np.asarray(x, float) for x in (wavelength, flux, ivar))
    step = np.diff(wavelength)
    if wavelength.ndim != 1 or flux.shape != ivar.shape or flux.shape[-1:] != wavelength.shape:
        raise ValueError(
            f"shapes do not fit: wavelength {wavelength.shape}, flux {flux.shape}, "
            f"ivar {ivar.shape}"
        )
    if len(wavelength) < 2 or not (step > 0).all() or step.max() > 10 * np.median(step):
        raise ValueError(
            "wavelengths must ascend without gaps: give all pixels, and those that are bad an "
            "inverse variance of 0"
        )
    if not (np.isfinite(ivar) & (ivar >= 0)).all():
        raise ValueError("ivar must be finite and not negative: set it to 0 for bad pixels")
    edge = np.concatenate([[-step[0] / 2], step / 2, [step[-1] / 2]])
    edge = np.concatenate([wavelength[:1], wavelength]) + edge
    # Pixel k of the grid is centred at 10**(k STEP), as those of SDSS are.
    first, last = (int(np.rint(np.log10(w) / STEP)) for w in wavelength[[0, -1]])
    target = 10.0 ** ((np.arange(first, last + 2) - 0.5) * STEP)
    # Overlaps of pixels, as differences of running sums at the edges.
    place = np.interp(target, edge, np.arange(len(edge)))
    left = np.minimum(place.astype(int), len(wavelength) - 1)
    part = place - left

    def share(values: NDArray) -> NDArray:
        total = np.zeros((*values.shape[:-1], len(wavelength) + 1))
        np.cumsum(values, axis=-1, out=total[..., 1:])
        return np.diff(total[..., left] + part * values[..., left], axis=-1)

    weight = share(ivar)
    weight[weight < 1e-9 * ivar.max(-1, keepdims=True)] = 0.0
    weighted = share(np.where(ivar > 0, flux, 0.0) * ivar)
    mean = np.where(weight > 0, weighted / np.where(weight > 0, weight, 1.0), 0.0)
    return first, mean, weight


def scan(
    wavelength: ArrayLike,
    flux: ArrayLike,
    ivar: ArrayLike,
    templates: list[Template],
    *,
    n_polynomial: int = 3,
) -> Fit:
    """The redshift of a spectrum.

    ``flux`` is per wavelength (vacuum Angstrom), ``ivar`` 0 for bad pixels. ``n_polynomial`` terms
    of a polynomial in the logarithm of the observed wavelength are added to every template.
    """
    first, flux, weight = rebin(wavelength, flux, ivar)
    if not (weight > 0).any():
        raise ValueError("the spectrum has no good pixel (ivar above 0): there is nothing to fit")
    curves = {t.name: _curve(first, flux, weight, t, n_polynomial) for t in templates}
    minima = [m for t in templates for m in _minima(t, *curves[t.name])]
    if not minima:
        raise ValueError(
            f"no template reaches {10 ** (first * STEP):.0f} to "
            f"{10 ** ((first + len(flux)) * STEP):.0f} Angstrom: these are optical templates"
        )
    minima.sort(key=lambda m: m[0])
    chi2, redshift, kind, name, edge = minima[0]
    rest = [m[0] for m in minima if abs(m[1] - redshift) / (1 + redshift) * LIGHT > APART]
    dchi2 = rest[0] - chi2 if rest else np.inf
    best = {}
    for value, z, one, *_ in minima:
        best.setdefault(one, (z, value))
    return Fit(
        redshift, kind, name, chi2, dchi2, int((weight > 0).sum()), bool(edge or dchi2 < CLOSE),
        curves, best,
    )  # fmt: skip


def _curve(
    first: int, flux: NDArray, weight: NDArray, template: Template, n_polynomial: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Redshifts, one per pixel of shift, and chi-square (inf where too little is covered)."""
    good = weight > 0
    high = np.log10(1 + template.high) / STEP
    if template.needs is not None:
        high = min(high, first + np.flatnonzero(good)[-1] - np.log10(template.needs) / STEP)
    shift = np.arange(int(np.ceil(np.log10(1 + template.low) / STEP)), int(high) + 1)
    # Pixel i of the spectrum sees pixel i + lag of the template.
    lag = first - template.first - shift
    seen = (lag > -len(flux)) & (lag < template.length)
    shift, lag = shift[seen], lag[seen]
    n = 1 << (len(flux) + template.length - 1).bit_length()
    here = np.fft.rfft(np.ones(template.length), n)
    # What the forest lets through of the light at each pixel.
    wavelength = 10.0 ** ((first + np.arange(len(flux))) * STEP)
    through = np.exp(-0.00554 * (wavelength / FOREST[1]) ** 3.182)

    def correlate(values: NDArray, with_: NDArray) -> NDArray:
        # Lags wrap around at n, which is longer than both together.
        return np.fft.irfft(np.conj(np.fft.rfft(values, n)) * with_, n)[..., lag % n]

    k = len(template.vectors)
    x = np.linspace(-1.0, 1.0, len(flux))
    polynomial = np.polynomial.legendre.legvander(x, max(n_polynomial - 1, 0)).T[:n_polynomial]
    a, b = np.triu_indices(k)
    c, d = np.triu_indices(n_polynomial)
    squares, cross = 0.0, 0.0
    others = np.concatenate([flux[None], polynomial])
    for part, (vectors, products) in zip((1.0, through), template.transforms(n), strict=False):
        squares = squares + correlate(weight * part**2, products)
        cross = cross + correlate((weight * part * others)[:, None], vectors)
    normal = np.empty((len(shift), k + n_polynomial, k + n_polynomial))
    right = np.empty((len(shift), k + n_polynomial))
    normal[:, a, b] = normal[:, b, a] = squares.T
    normal[:, :k, k:] = cross[1:].transpose(2, 1, 0)
    normal[:, k:, :k] = cross[1:].transpose(2, 0, 1)
    right[:, :k] = cross[0].T
    # The polynomial is fitted to the pixels that the template reaches, and no others.
    inside = correlate(weight * polynomial[c] * polynomial[d], here).T
    normal[:, c + k, d + k] = normal[:, d + k, c + k] = inside
    right[:, k:] = correlate(weight * flux * polynomial, here).T
    # What is left where a template ends must not make a singular matrix.
    trace = np.einsum("nkk->n", normal) + weight.sum()
    normal += RIDGE * trace[:, None, None] * np.eye(k + n_polynomial)
    fitted = (np.linalg.solve(normal, right[..., None])[..., 0] * right).sum(1)
    covered, total = correlate(np.stack([good, weight * flux**2]), here)
    chi2 = total - fitted + (good.sum() - covered)
    chi2[covered < 0.5 * good.sum()] = np.inf
    return 10.0 ** (shift * STEP) - 1, chi2


def _minima(
    template: Template, redshift: NDArray, chi2: NDArray
) -> list[tuple[float, float, str, str, bool]]:
    """Chi-square, redshift, kind, name of the minima, and whether they are at an end."""
    padded = np.concatenate([[np.inf], chi2, [np.inf]])
    lowest = (chi2 <= padded[:-2]) & (chi2 < padded[2:])
    out = []
    for i in np.flatnonzero(lowest):
        edge = not np.isfinite(padded[[i, i + 2]]).all()
        value, z = chi2[i], redshift[i]
        if not edge:
            before, after = padded[i], padded[i + 2]
            offset = 0.5 * (before - after) / (before - 2 * value + after)
            value -= 0.25 * (before - after) * offset
            z = (1 + z) * 10.0 ** (offset * STEP) - 1
        out.append((float(value), float(z), template.kind, template.name, edge))
    return out
