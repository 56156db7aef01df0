"""Noise of SDSS's two spectrographs, the first ones' and BOSS's, on training spectra."""

from __future__ import annotations

import numpy as np
from noise import envelope, separate
from scipy.ndimage import gaussian_filter1d, median_filter

__all__ = ["measure"]

LIGHT = 299792.458
FIRST, STEP = 3.55, 1e-4  # log10 of the wavelength of the common grid's first pixel
NODES = 12  # of the smooth curves by which variances differ from spectrum to spectrum
# Lines that vary apart from each other [Angstrom]: oxygen's green one, its red ones, sodium, lamps
# of mercury; what is left below 6700, and bands of OH above.
BREAK = 6700.0
LINES = (
    ((5567, 5591),), ((6290, 6314), (6354, 6378)), ((5882, 5906),), ((4352, 4368), (5453, 5471)),
)  # fmt: skip
_EDGES = np.array(
    [3600, 4000, 4400, 4800, 5200, 5700, 6300, 6800, 7400, 8000, 8600, 9200, 10300], float
)
_LAGS = (1, 2, 3, 4, 6, 8)


def measure(spectra):
    """Arrays and traits of one spectrograph from its training coadds."""
    low = min(np.log10(s.wavelength[0]) for s in spectra)
    high = max(np.log10(s.wavelength[-1]) for s in spectra)
    first, last = (round((v - FIRST) / STEP) for v in (low, high))
    wavelength = 10.0 ** (FIRST + STEP * np.arange(first, last + 1))
    index = [np.rint((np.log10(s.wavelength) - low) / STEP).astype(int) for s in spectra]
    share = _share(spectra)
    sky, source = _shapes(spectra, index, len(wavelength), share)
    floor = np.minimum(envelope(sky, 151), sky)
    line = sky - floor
    group = _groups(wavelength)
    nights, hat, rest = _nights(spectra, index, group, floor, line, source, share)
    k = group.max() + 3
    scale = np.median(nights[:, :k], 0)
    nights[:, :k] -= scale
    floor, source = floor * 10 ** scale[0], source * 10 ** scale[1]
    line = _sharpened(spectra, index, line * 10 ** scale[2:][group], floor)
    arrays = {"wavelength": wavelength, "floor": floor, "line": line, "source": source}
    arrays["lsf"] = _width(spectra, index, len(wavelength)) * np.log(10) * STEP * LIGHT
    arrays |= {"nights": nights, "group": group}
    error, excess, taps, spread, faint = _shared(spectra, wavelength, line / (floor + line))
    arrays |= {"wrong": error, "excess": excess, "shared": taps}
    arrays["lost"], runs, lengths = _masks(spectra, index, len(wavelength))
    own = source * 10 ** (nights[:, 1:2] + nights[:, k:] @ hat)
    echo, rough = _echo(spectra, index, own, rest)
    centre = taps[:, len(wavelength) // 2]
    traits = {
        "spectra": len(spectra), "objects": len({s.place for s in spectra}), "faint": faint,
        "snr": _levels(spectra), "error": float(np.median(error)), "error_scatter": spread,
        "taps": centre.tolist(), "echo": echo, "rough": rough, "share": share,
        "runs": runs, "lengths": lengths,
        "scatter": float(nights[:, 0].std()),
        "bad": float(np.median([1 - s.valid.mean() for s in spectra])),
    }  # fmt: skip
    return arrays, traits


def _shapes(spectra, index, length, share):
    """Shapes of the variance without an object, and of that per unit of flux."""
    variance, flux = (np.full((len(spectra), length), np.nan) for _ in range(2))
    for i, (s, at) in enumerate(zip(spectra, index, strict=True)):
        variance[i, at] = np.where(s.valid, _counted(s, share), np.nan)
        flux[i, at] = np.where(s.valid, _object(s), np.nan)
    sky, source = separate(variance, flux, smooth=151, segments=[(0, length)])
    # One spectrum's broken pixel is no sky line: 5577 A itself is 100 times its surroundings.
    return np.minimum(sky, 150 * median_filter(sky, 151, mode="nearest")), source


def _object(s):
    """Flux of the object: the survey's fit, or what is smooth where there is none."""
    fitted = np.isfinite(s.model) & (s.model != 0)
    return np.maximum(np.where(fitted, s.model, median_filter(s.flux, 51)), 0)


def _counted(s, share):
    """Variance less the square of the share of the flux that the pipeline adds to the error."""
    return np.maximum(s.sigma**2 - (share * _object(s)) ** 2, 0.2 * s.sigma**2)


def _curve(values, length):
    """Values at nodes, joined by straight lines."""
    return np.interp(np.linspace(0, len(values) - 1, length), np.arange(len(values)), values)


def _groups(wavelength):
    """Which lines each pixel's line term belongs to."""
    group = np.where(wavelength < BREAK, 0, len(LINES) + 1)
    for number, windows in enumerate(LINES, 1):
        for low, high in windows:
            group[(wavelength > low) & (wavelength < high)] = number
    return group


def _nights(spectra, index, group, floor, line, source, share):
    """How each spectrum's variance differs from the terms [dex], the curves, and what is left.

    By factors on the floor, the source term and each group of lines, and a smooth curve on all
    of them: the throughput of that night, fibre and reduction.
    """
    lines = np.where(group == np.arange(group.max() + 1)[:, None], line, 0)
    hat = np.array([_curve(row, len(group)) for row in np.eye(NODES)])
    n = len(lines) + 2
    # What the data leave open stays near the common level.
    weak = np.diag(np.repeat([9.0, 400.0], [n, NODES]))
    found, left = [], []
    for s, at in zip(spectra, index, strict=True):
        seen = np.log10(_counted(s, share))
        terms = np.concatenate([[floor[at], source[at] * _object(s)], lines[:, at]])
        first = np.zeros(n + NODES)
        # All begin at one level, the photons a tenth of it.
        first[:n] = np.median((seen - np.log10(terms.sum(0) - 0.9 * terms[1]))[s.valid])
        x = first.copy()
        for scale in (0.3,) * 6 + (0.1,) * 10:
            parts = 10.0 ** x[:n, None] * terms
            total = parts.sum(0)
            rest = seen - np.log10(total) - x[n:] @ hat[:, at]
            slope = np.concatenate([parts / total, hat[:, at]])
            weight = s.valid / (scale**2 + rest**2)  # Cauchy: a line that is not this night's
            matrix = (slope * weight) @ slope.T + weak
            move = np.linalg.solve(matrix, slope @ (weight * rest) - weak @ (x - first))
            x += np.clip(move, -0.5, 0.5)
        found.append(x)
        left.append(rest)
    return np.array(found), hat, left


def _width(spectra, index, length):
    """Median width of the line-spread function [pixels]."""
    width = np.full((len(spectra), length), np.nan)
    for i, (s, at) in enumerate(zip(spectra, index, strict=True)):
        width[i, at] = np.where(s.width > 0, s.width, np.nan)
    middle = np.nanmedian(width, 0)
    known = np.isfinite(middle)
    middle = np.interp(np.arange(length), np.flatnonzero(known), middle[known])
    return gaussian_filter1d(middle, 30, mode="nearest")


def _on_lines(s):
    """Pixels whose errors stand out: sky lines."""
    log = np.log10(s.sigma)
    return log - median_filter(log, 101) > 0.05


def _shared(spectra, wavelength, bright):
    """True over stated noise and the weights by which pixels share it, by wavelength.

    From second differences of flux / sigma off sky lines in the fainter half of the spectra:
    their variance at lag d is 1 - 4/3 rho(d) + 1/3 rho(2d) of that of one pixel; pixels four
    and more apart share nothing. On sky lines the true noise is larger yet: by what is found
    where these are as ``bright``, as a share of the variance.
    """
    middle = np.median([s.snr for s in spectra])
    faint = [s for s in spectra if s.snr <= middle]
    rows = np.full((len(faint), len(_EDGES) - 1, len(_LAGS)), np.nan)
    for i, s in enumerate(faint):
        pull, good = s.flux / s.sigma, s.valid & ~_on_lines(s)
        for j, d in enumerate(_LAGS):
            ok = good[d:-d] & good[: -2 * d] & good[2 * d :]
            bend = (2 * pull[d:-d] - pull[: -2 * d] - pull[2 * d :]) ** 2 / 6
            bins = np.digitize(s.wavelength[d:-d], _EDGES) - 1
            for k in range(len(_EDGES) - 1):
                some = bend[ok & (bins == k)]
                if len(some) > 40:
                    rows[i, k, j] = np.median(some) / 0.4549
    known = np.isfinite(rows).any((0, 2))
    one, two, three, *far = np.nanmedian(rows[:, known], 0).T
    place = np.sqrt(_EDGES[1:] * _EDGES[:-1])[known]
    total = np.mean(far, 0)
    rho3 = 0.75 * (1 - three / total)
    rho2 = 0.75 * (1 - two / total)
    rho1 = 0.75 * (1 + rho2 / 3 - one / total)
    taps = np.array([moving_average(r) for r in zip(rho1, rho2, rho3, strict=True)])
    along = np.array([np.interp(wavelength, place, t) for t in taps.T])
    along /= np.sqrt((along**2).sum(0))
    whole = np.sqrt(np.nanmedian(np.nanmean(rows[:, :, 3:], 2) / np.where(
        known, np.nanmedian(rows[:, :, 3:], (0, 2)), np.nan), 1))  # fmt: skip
    spread = 0.5 * float(np.diff(np.percentile(np.log(whole), (16, 84)))[0])
    error = np.interp(wavelength, place, np.sqrt(total))
    excess = np.zeros(len(wavelength))
    for half in (wavelength < BREAK, wavelength >= BREAK):
        excess[half] = _on_bright(faint, wavelength, error, bright, half)[half] - 1
    return error, np.maximum(excess, 0), along, spread, len(faint)


def _on_bright(faint, wavelength, error, bright, half, d=4):
    """Noise where sky lines are bright over that elsewhere, (L,)."""
    first, edges = np.log10(wavelength[0]), np.linspace(0, 1, 9)
    size, share = [], []
    for s in faint:
        at = np.rint((np.log10(s.wavelength) - first) / STEP).astype(int)
        pull = s.flux / s.sigma / error[at]
        ok = s.valid[d:-d] & s.valid[: -2 * d] & s.valid[2 * d :] & half[at[d:-d]]
        # Neighbours on the line's wings count with theirs.
        near = (4 * bright[at[d:-d]] + bright[at[: -2 * d]] + bright[at[2 * d :]]) / 6
        size.append(((2 * pull[d:-d] - pull[: -2 * d] - pull[2 * d :]) ** 2 / 6)[ok])
        share.append(near[ok])
    size, share = np.concatenate(size), np.concatenate(share)
    bins = np.digitize(share, edges[1:-1])
    value = [np.median(size[bins == k]) / 0.4549 if (bins == k).sum() > 500 else np.nan
             for k in range(8)]  # fmt: skip
    value = np.sqrt(np.array(value))
    known = np.isfinite(value)
    print("  noise over stated by share of lines:", value.round(3))
    return np.interp(bright, (0.5 * (edges[1:] + edges[:-1]))[known], value[known])


def _sharpened(spectra, index, line, floor):
    """Sky lines as sharp as in single spectra.

    The wavelengths are heliocentric, so the air's lines lie up to half a pixel apart in
    different spectra, and their median is blurred. How much is told by the steepest steps of
    the errors in the fainter half of the spectra.
    """
    middle = np.median([s.snr for s in spectra])
    real, known = [], np.zeros(len(line))
    for s, at in zip(spectra, index, strict=True):
        if s.snr <= middle:
            known[at] += 1
            both = s.valid[1:] & s.valid[:-1]
            real.append(np.percentile(np.abs(np.diff(np.log10(s.sigma)))[both], 99))
    curved = np.gradient(np.gradient(line))
    for blur in np.arange(0, 1.5, 0.05):
        sharp = np.maximum(line - 0.5 * blur * curved, 0)
        steps = 0.5 * np.abs(np.diff(np.log10(floor + sharp)))[known[1:] > 0.5 * known.max()]
        if np.percentile(steps, 99) > np.median(real):
            break
    print(f"  lines sharpened by {blur:.2f} square pixels; steps {np.median(real):.3f}")
    return sharp


def moving_average(rho, n=512):
    """Weights of neighbouring white noise that give these correlations, as nearly as can be."""
    angle = 2 * np.pi * np.arange(n) / n
    power = 1 + 2 * sum(r * np.cos((k + 1) * angle) for k, r in enumerate(rho))
    # The causal half of the logarithm's cepstrum is the filter of least delay.
    cepstrum = np.fft.ifft(np.log(np.maximum(power, 0.03))).real / 2
    cepstrum[1 : n // 2] *= 2
    cepstrum[n // 2 + 1 :] = 0
    taps = np.fft.ifft(np.exp(np.fft.fft(cepstrum))).real[: len(rho) + 1]
    return taps / np.sqrt((taps**2).sum())


def _echo(spectra, index, source, rest):
    """How much of the noise its own errors repeat; their own scatter [dex] and how it is shared.

    Errors are reckoned from the photons that were counted, so they are larger where noise made
    the flux larger: by the source term in the ideal, less where exposures and pixels are mixed.
    """
    shares, rough = [], []
    bend = lambda x: x - median_filter(x, 25)  # noqa: E731
    for s, at, per_flux, over in zip(spectra, index, source, rest, strict=True):
        ok = s.valid & ~_on_lines(s) & (np.abs(bend(s.flux)) < 4 * s.sigma)
        noise, echo = bend(s.flux) * per_flux[at] / s.sigma**2, bend(over) * np.log(10)
        ok &= np.abs(echo) < 0.3
        if s.snr < 20:  # in brighter ones the object's lines are what varies
            shares.append((noise * echo)[ok].sum() / (noise**2)[ok].sum())
            left = np.where(ok, echo - shares[-1] * noise, np.nan)
            left = np.clip(left / 2 / np.log(10), -0.06, 0.06)
            power = np.nanmean(left**2)
            rough.append([power, *(np.nanmean(left[d:] * left[:-d]) / power for d in (1, 2, 3))])
    power, *rho = np.median(rough, 0)
    print("  errors' own scatter:", np.sqrt(power).round(4), "shared", np.round(rho, 2))
    return float(np.median(shares)), float(np.sqrt(power)) / 1.32  # see `_roughness`


def _share(spectra):
    """Error that the pipeline adds, as a share of the flux: none of it is in the noise.

    Where it is all of the error, differences of neighbours fall below what they are in faint
    spectra.
    """
    size = []
    for s in spectra:
        pull, ok = s.flux / s.sigma, s.valid[1:-1] & s.valid[2:] & s.valid[:-2]
        size.append(np.median(np.abs(2 * pull[1:-1] - pull[2:] - pull[:-2])[ok]))
    size, snr = np.array(size), np.array([s.snr for s in spectra])
    usual = np.median(size[snr < 10])
    bright = snr > 25
    return float(np.median(np.sqrt(np.maximum(1 - (size / usual)[bright] ** 2, 0)) / snr[bright]))


def _masks(spectra, index, length):
    """Share of spectra that lack each pixel where many do, and the runs of the other bad pixels.

    The runs: their number per spectrum, and quantiles of their lengths.
    """
    seen, bad = np.zeros(length), np.zeros(length)
    for s, at in zip(spectra, index, strict=True):
        seen[at] += 1
        bad[at] += ~s.valid
    share = np.where(seen > 10, bad / np.maximum(seen, 1), 0)
    share = np.where(share > 0.03, share, 0)
    lengths = []
    for s, at in zip(spectra, index, strict=True):
        edge = np.flatnonzero(np.diff([0, *(~s.valid & (share[at] == 0)).astype(int), 0]))
        lengths += (edge[1::2] - edge[::2]).tolist()
    quantiles = np.percentile(lengths, np.linspace(2, 98, 25)) if lengths else [1.0]
    return share, len(lengths) / len(spectra), np.rint(quantiles).astype(int).tolist()


def _levels(spectra):
    """Mean and standard deviation of log10 S/N, of all and of each class."""
    value = np.log10([max(s.snr, 0.05) for s in spectra])
    kind = np.array([s.kind for s in spectra])
    some = {k: value[kind == k] for k in ("GALAXY", "QSO", "STAR") if (kind == k).sum() >= 10}
    return {k: [float(v.mean()), float(v.std())] for k, v in {"all": value, **some}.items()}
