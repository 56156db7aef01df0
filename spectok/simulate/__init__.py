"""Mock observations of known truth."""

import lazy_loader as _lazy

_attached, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)


def __getattr__(name):
    if name != "training_simulators":
        return _attached(name)
    # Until 0.3: the one import that goes upwards, for those who have the old name.
    import warnings

    from spectok.training import training_simulators

    warnings.warn(
        "spectok.simulate.training_simulators has moved: import it from spectok.training; the "
        "old name goes with spectok 0.3",
        FutureWarning,
        stacklevel=2,
    )
    return training_simulators
