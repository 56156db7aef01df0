"""Instruments: from noise-free spectra to pixels with noise and faults."""
