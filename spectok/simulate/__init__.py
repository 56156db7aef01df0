"""Mock observations of known truth."""

import lazy_loader as _lazy

from spectok._deprecated import deprecated_names as _deprecated_names

_attribute, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
__getattr__ = _deprecated_names(
    __name__,
    _attribute,
    {
        "INSTRUMENTS": (
            "spectok.simulate.instruments._spectrographs",
            "the documentation of spectok.simulate.instrument lists them",
        ),
        "LabelBounds": (
            "spectok.simulate._bounds",
            "take what spectok.simulate.label_bounds returns",
        ),
        "Observation": (
            "spectok.simulate.instruments._observation",
            "take what Simulator.observe and Simulator.draw return",
        ),
        # The one name that is found upwards, and only by those who ask for it.
        "training_simulators": ("spectok.training", "import it from spectok.training"),
    },
)
