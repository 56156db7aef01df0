"""Mock light curves of known truth: transients and variables through survey cadences."""

from spectok.simulate.lightcurves._cadence import SURVEYS, Cadence
from spectok.simulate.lightcurves._observe import KINDS, LightCurves, observe

__all__ = ["KINDS", "SURVEYS", "Cadence", "LightCurves", "observe"]
