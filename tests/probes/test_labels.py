"""Labels: units off and on again, unknown ones, and what is no label."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.utils.masked import Masked

from spectok.probes._labels import Labels, read_labels

MIXED = QTable({"teff": [5000.0, 4000.0] * u.K, "logg": [4.5, 1.5]})

ONE_AXIS = {
    "list": ([1, 2.5], None),
    "array": (np.array([1.0, 2.5], ">f4"), None),
    "bools": ([True, False], None),
    "Quantity": ([1.0, 2.5] * u.K, "K"),
    "list of Quantities": ([1.0 * u.K, 2.5 * u.K], "K"),
    "dimensionless": ([1.0, 2.5] * u.one, ""),
    "Column": (Column([1.0, 2.5], unit="km/s"), "km / s"),
    "plain Column": (Column([1, 2]), None),
    "MaskedColumn": (MaskedColumn([1.0, 2.5], mask=[False, False], unit="K"), "K"),
    "dex": ([1.0, 2.5] * u.dex(u.cm / u.s**2), "dex(cm / s2)"),
}


@pytest.mark.parametrize("name", ONE_AXIS)
def test_one_axis(name):
    given, unit = ONE_AXIS[name]
    value, labels = read_labels(given)
    expected = [float(getattr(one, "value", one)) for one in given]
    assert value.dtype == np.float64 and value.tolist() == [[one] for one in expected]
    assert labels == Labels((), (unit,), True)
    back = labels.write(value)
    assert back.shape == (2,) and np.asarray(back).tolist() == expected
    assert getattr(back, "unit", None) == (None if unit is None else u.Unit(unit))


@pytest.mark.parametrize("unit", [None, u.dex])
def test_two_axes(unit):
    given = np.arange(6.0).reshape(3, 2)
    given = given if unit is None else given * unit
    value, labels = read_labels(given)
    assert value.shape == (3, 2) and not labels.vector and len(labels.units) == 2
    back = labels.write(value)
    assert back.shape == (3, 2) and (back == given).all()
    assert getattr(back, "unit", None) == unit
    assert read_labels(given[:, :1])[1].write(value[:, :1]).shape == (3, 1)


def test_table_of_mixed_units():
    value, labels = read_labels(MIXED)
    assert value.tolist() == [[5000, 4.5], [4000, 1.5]]
    assert labels == Labels(("teff", "logg"), ("K", None), False)
    back = labels.write(value)
    assert isinstance(back, QTable) and back.colnames == ["teff", "logg"]
    assert back["teff"].unit == u.K and (back["teff"] == MIXED["teff"]).all()
    assert not hasattr(back["logg"], "to_value") and back["logg"].tolist() == [4.5, 1.5]
    plain = Table(MIXED)
    assert read_labels(plain)[1] == labels and (read_labels(plain)[0] == value).all()


UNKNOWN = {
    "NaN": [1.0, np.nan],
    "None": [1.0, None],
    "masked array": np.ma.array([1.0, 7.0], mask=[False, True]),
    "masked ints": np.ma.array([1, 7], mask=[False, True]),
    "MaskedColumn": MaskedColumn([1.0, 7.0], mask=[False, True], unit="K"),
    "masked Quantity": Masked([1.0, 7.0] * u.K, mask=[False, True]),
    "list": [[1.0], [np.nan]],
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown(name):
    value, labels = read_labels(UNKNOWN[name])
    assert value[0, 0] == 1.0 and np.isnan(value[1, 0])
    assert labels.units[0] == ("K" if name in ("MaskedColumn", "masked Quantity") else None)


def test_unknown_in_a_table():
    table = QTable(Table({"a": MaskedColumn([1.0, 2.0], mask=[True, False], unit="K"),
                          "b": [3.0, np.nan]}))  # fmt: skip
    value, _ = read_labels(table)
    assert np.isnan(value).tolist() == [[True, False], [False, True]]


def test_the_input_is_left_alone():
    given = np.ma.array([1.0, 7.0], mask=[False, True])
    plain = np.array([1.0, 2.0])
    read_labels(given)
    value, labels = read_labels(plain)
    value += 1
    labels.like(plain)[:] = 0
    assert given.data[1] == 7.0 and plain.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(("given", "kind", "words"), [
    (["a", "b"], TypeError, "the labels must be numbers for a regression: not <U1"),
    (["5000", "4000"], TypeError, "must be numbers"),
    (np.array(["5000", 1], object), TypeError, "must be numbers for a regression: not strings"),
    (np.array(["2020-01-01"], "M8[D]"), TypeError, "must be numbers"),
    ([1j, 2j], TypeError, "must be numbers"),
    ([[1, 2], [3]], TypeError, "must be numbers"),
    ([1.0 * u.K, 2.0 * u.m], TypeError, "must all have units that convert"),
    (Table({"a": [1.0], "kind": ["STAR"]}), TypeError, "label 'kind' must be numbers"),
    (Table({"a": [[1.0, 2.0]]}), ValueError, "one number per row and column"),
    (Table(), ValueError, "has no column"),
    (3.0, ValueError, r"\(N,\), or \(N, L\) .* not \(\)"),
    ([], ValueError, r"not \(0,\)"),
    (np.zeros((2, 2, 2)), ValueError, r"not \(2, 2, 2\)"),
    ([1.0, 2.0, np.inf], ValueError, "the label of spectrum 2 is infinite; unknown .* NaN or"),
    ([[1.0, -np.inf]], ValueError, "the label of spectrum 0 is infinite"),
    ([np.nan, np.nan], ValueError, "label 0 is never known"),
    (Table({"a": [1.0], "b": [np.nan]}), ValueError, "label 'b' is never known"),
])  # fmt: skip
def test_what_is_refused(given, kind, words):
    with pytest.raises(kind, match=words):
        read_labels(given)


def test_masked_infinities_are_unknown():
    assert np.isnan(read_labels(np.ma.array([1.0, np.inf], mask=[0, 1]))[0][1, 0])


# ------------------------------------------------------------------ like


def test_like_converts():
    labels = read_labels([5.0, 6.0] * u.km / u.s)[1]
    assert labels.like([5000.0, 7000.0] * u.m / u.s)[:, 0] == pytest.approx([5.0, 7.0])
    assert read_labels(MIXED)[1].like(
        QTable({"teff": [5.0] * u.kK, "logg": [2.0]})
    ) == pytest.approx(np.array([[5000.0, 2.0]]))


def test_like_converts_what_has_another_zero():
    """Surface gravities: 4 dex(cm/s2) are 2 dex(m/s2)."""
    labels = read_labels([4.0, 3.0] * u.dex(u.cm / u.s**2))[1]
    found = labels.like([2.0, 1.5] * u.dex(u.m / u.s**2))[:, 0]
    assert found == pytest.approx([4.0, 3.5])


def test_a_spread_of_logarithms_has_their_unit():
    labels = read_labels([4.0, 3.0] * u.dex(u.cm / u.s**2))[1]
    value = labels.write(np.array([[4.0]]))
    spread = labels.write(np.array([[0.1]]), spread=True)
    assert value.unit == u.dex(u.cm / u.s**2) and spread.unit == u.dex
    assert read_labels(MIXED)[1].write(np.ones((2, 2)), spread=True)["teff"].unit == u.K


def test_no_unit_is_dimensionless():
    plain, none = read_labels([1.0, 2.0])[1], read_labels([1.0, 2.0] * u.one)[1]
    assert plain.like([50.0, 10.0] * u.percent)[:, 0] == pytest.approx([0.5, 0.1])
    assert none.like([0.5])[0, 0] == 0.5


@pytest.mark.parametrize(("given", "words"), [
    ([1.0] * u.m, "label 0 is in m, the probe was trained on K: these do not convert"),
    ([1.0], "label 0 is in no unit, the probe was trained on K"),
    ([[1.0, 2.0]] * u.K, "trained on 1 labels .* these are 2"),
    (MIXED, "these are 2 .teff, logg."),
])  # fmt: skip
def test_like_refuses(given, words):
    with pytest.raises(ValueError, match=words):
        read_labels([5000.0, 4000.0] * u.K)[1].like(given)


def test_like_names_the_column():
    labels = read_labels(MIXED)[1]
    with pytest.raises(ValueError, match="label 'teff' is in m, the probe was trained on K"):
        labels.like(QTable({"teff": [1.0] * u.m, "logg": [1.0]}))
    with pytest.raises(ValueError, match=r"trained on 2 labels .teff, logg."):
        labels.like(MIXED["logg", "teff"])
