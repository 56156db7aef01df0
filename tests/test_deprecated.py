"""Names that are public no more are found for one release, with a warning."""

import importlib

import pytest
from astropy.utils.exceptions import AstropyDeprecationWarning

NAMES = [
    ("probes", "PoolTokens", "spectok.probes._simple"),
    ("simulate", "INSTRUMENTS", "spectok.simulate.instruments._spectrographs"),
    ("simulate", "LabelBounds", "spectok.simulate._bounds"),
    ("simulate", "Observation", "spectok.simulate.instruments._observation"),
    ("simulate", "training_simulators", "spectok.training"),
    ("surveys", "SurveyRecord", "spectok.surveys._multimodal_records"),
    ("surveys", "as_arrays", "spectok.surveys._multimodal_records"),
    ("training", "Objective", "spectok.training._objective"),
    ("training", "TrainingBatch", "spectok.training._data"),
]


@pytest.mark.parametrize(("room", "name", "module"), NAMES)
def test_old_names_work_and_warn(room, name, module):
    package = importlib.import_module(f"spectok.{room}")
    with pytest.warns(AstropyDeprecationWarning, match=f"spectok.{room}.{name} is no") as caught:
        found = getattr(package, name)
    assert found is getattr(importlib.import_module(module), name)
    assert {one.filename for one in caught} == {__file__}
    assert name not in dir(package) and name not in package.__all__


def test_they_can_be_imported_and_others_are_refused():
    with pytest.warns(AstropyDeprecationWarning, match="goes with 0.3: use spectok.surveys"):
        from spectok.surveys import as_arrays
    assert callable(as_arrays)
    with pytest.raises(ImportError, match="cannot import name 'as_array'"):
        from spectok.surveys import as_array  # noqa: F401
