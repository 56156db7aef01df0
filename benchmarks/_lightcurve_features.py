"""What classifiers of light curves are given: interpolated bands, tokens, decoded bands."""

from __future__ import annotations

import numpy as np
import torch

from spectok.training._lightcurves import batch_of_curves

# Days around the maximum at which every band is looked at.
GRID = np.concatenate([np.arange(-30, 30, 4.0), np.arange(30, 100, 10.0)])
BATCH = 128


def interpolated(curves, bands):
    """The floor: each band interpolated linearly around the maximum, and how bright it is.

    The maximum is that of the point with the largest flux over its error.
    """
    out = np.zeros((len(curves), len(bands) * (len(GRID) + 2) + 3), np.float32)
    for row, one in enumerate(curves):
        top = int(np.argmax(one.flux / one.sigma))
        at, height = one.time[top], max(one.flux[top], one.sigma[top])
        parts = [np.array([np.log(height), np.log(height / one.sigma[top]), one.band[top] / 1e4])]
        for band in bands:
            some = one.band == band
            flux = np.full(len(GRID), np.nan)
            count, mean = 0, np.nan
            if some.any():
                place = one.time[some] - at
                flux = np.interp(GRID, place, one.flux[some], left=np.nan, right=np.nan) / height
                count = int((one.flux[some] > 3 * one.sigma[some]).sum())
                mean = one.flux[some].max() / height
            parts += [flux, np.array([count, mean])]
        out[row] = np.concatenate(parts)
    return out


def learned(model, curves, bands):
    """Embeddings, pooled tokens, and bands decoded around their maximum, of each curve."""
    bands = np.asarray(bands, float)
    embedding, pooled, decoded = [], [], []
    for start in range(0, len(curves), BATCH):
        some = curves[start : start + BATCH]
        batch, layouts = batch_of_curves(some, model.config.patch_size)
        with torch.inference_mode():
            tokens = model.encode(batch)
            embedding.append(model.embed(tokens).numpy())
            count = tokens.valid.sum(1, keepdim=True).clamp(min=1)
            mean = tokens.value.sum(1) / count
            most = torch.where(tokens.valid[..., None], tokens.value, -99.0).amax(1)
        top = [int(np.argmax(one.flux / one.sigma)) for one in some]
        at = np.array([one.time[k] - one.time.min() for one, k in zip(some, top, strict=True)])
        height = np.array(
            [max(one.flux[k], one.sigma[k]) for one, k in zip(some, top, strict=True)]
        )
        flux, sigma = _decode(model, tokens, at, bands)
        scale = tokens.scale.numpy()
        flux, sigma = (x * (scale / height)[:, None] for x in (flux, sigma))
        beside = np.stack([np.log(scale), np.log(height), np.log(height / scale)], 1)
        pooled.append(np.concatenate([mean.numpy(), most.numpy(), beside], 1))
        decoded.append(np.concatenate([flux, np.log(sigma + 1e-6)], 1))
    return tuple(np.concatenate(x).astype(np.float32) for x in (embedding, pooled, decoded))


def _decode(model, tokens, at, bands):
    """Flux and model error over the scale on `GRID` around times, in every band."""
    patch = model.config.patch_size
    grid = np.pad(GRID, (0, -len(GRID) % patch), mode="edge")
    place = at[:, None] + np.tile(grid, len(bands))[None]
    filters = np.repeat(bands, len(grid) // patch)
    filters = torch.from_numpy(np.tile(filters, (len(at), 1)))
    with torch.inference_mode():
        found = model.decode(tokens, torch.from_numpy(place), band=filters)
    keep = np.tile(np.arange(len(grid)) < len(GRID), len(bands))
    return tuple(x.numpy()[:, keep] for x in found)
