"""Why spectra have no token, as a table's meta keeps it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.table import QTable, Table

from spectok._flags import TokenFlag
from spectok._tokens._table import id_column, meta_entry, sequences, text_of

__all__ = ["reasons_of", "reasons_to_text", "refusals", "refused_of"]

# A header of FITS, where this ends up, should stay short: some hundred cards.
_MOST = 1000
_NOT_KEPT = "not kept, because more than 1000 spectra have no token; encode it alone to hear why"


def refusals(tokens: Table) -> QTable:
    """Say why spectra of a token table have no token.

    Parameters
    ----------
    tokens : `~astropy.table.QTable`
        From `spectok.encode` or `spectok.encode_arrays`, or read back from a file; or what
        `spectok.embed` or `spectok.pool` made of it.

    Returns
    -------
    refused : `~astropy.table.QTable`
        One row for each spectrum without a valid token: ``spectrum_index``, ``object_id``,
        ``refused`` (True: it could not be used at all; False: it has not one good patch) and
        ``reason``. Of tables with very many such spectra the first 1000 have their reason.

    Raises
    ------
    TypeError, ValueError
        For what is no token table.

    Examples
    --------
    >>> import numpy as np, spectok, warnings
    >>> wavelength = np.linspace(4000.0, 5000.0, 640)
    >>> flux = np.random.default_rng(0).normal(10.0, 1.0, (2, 640))
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     tokens = spectok.encode_arrays(
    ...         [wavelength, wavelength[:9]], list(flux), [np.ones(640)] * 2, errors="row")
    >>> print(spectok.refusals(tokens)["reason"][0])
    9 wavelengths for fluxes of 1 x 640 pixels: arrays are (spectra, pixels), ...
    """
    reasons = reasons_of(tokens)
    found = [one for one in _spectra_of(tokens) if one[2] & TokenFlag.NO_VALID_PATCH]
    return QTable(
        {
            "spectrum_index": [index for index, _, _ in found],
            "object_id": id_column([name for _, name, _ in found]),
            "refused": [bool(flags & TokenFlag.REFUSED) for _, _, flags in found],
            "reason": [reasons.get(index, _NOT_KEPT) for index, _, _ in found],
        },
        dtype=(int, None, bool, str if not found else None),
    )


def _spectra_of(table: Table) -> list[tuple[int, Any, int]]:
    """Index, name and flags of each spectrum of a table with one row a token or a spectrum."""
    if isinstance(table, Table) and {"embedding", "vector"} & set(table.colnames):
        columns = (table[name] for name in ("spectrum_index", "object_id", "flags"))
        index, names, flags = (np.ma.getdata(column).tolist() for column in columns)
        return list(zip(index, map(text_of, names), flags, strict=True))
    return [(one.index, one.object_id, one.flags) for one in sequences(table)]


def reasons_to_text(reasons: Mapping[int, str]) -> str:
    """Reasons by spectrum as one line of ASCII that every file format keeps."""
    grouped: dict[str, list[int]] = defaultdict(list)
    for number in sorted(reasons)[:_MOST]:
        grouped[reasons[number]].append(number)
    # FITS doubles quotes and continues long strings with an ampersand.
    return json.dumps(grouped).replace("'", "\\u0027").replace("&", "\\u0026")


def refused_of(tokens: Table) -> dict[str, str]:
    """The entry of the meta that holds the reasons, for a table of the same spectra."""
    text = meta_entry(tokens, "REFUSED")
    return {"REFUSED": text} if text else {}


def reasons_of(tokens: Table) -> dict[int, str]:
    """Reasons by spectrum, from the meta of a table."""
    text = meta_entry(tokens, "REFUSED")
    if not text:
        return {}
    return {number: reason for reason, which in json.loads(text).items() for number in which}
