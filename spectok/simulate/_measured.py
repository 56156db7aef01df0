"""File of quantities measured on the surveys' training spectra."""

from pathlib import Path

__all__ = ["MEASURED"]

MEASURED = Path(__file__).with_name("measured.safetensors")
"""File with the traits of the instruments and the coefficients of the quasar templates."""
