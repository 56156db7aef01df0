"""Objects: from templates to noise-free spectra with labels."""
