"""spectok: a universal spectrum tokenizer for astronomers.

Any spectrum that specutils can hold goes in on its native wavelength grid, wavelength-aware
tokens come out, and any requested grid can be decoded from them.
"""

import lazy_loader as _lazy

__version__ = "0.2.dev0"

# What to cite: the software as it is installed, and the paper of its method.
__citation__ = __bibtex__ = r"""@software{spectok,
  author  = {{the spectok developers}},
  title   = {spectok: a universal spectrum tokenizer for astronomers},
  version = {VERSION},
  year    = {2026},
  license = {BSD-3-Clause},
}

@article{Shen2025,
  author        = {Shen, Jeff and Lanusse, Francois and Parker, Liam Holden and Liu, Ollie and
                   Hehir, Tom and Sarra, Leopoldo and Meyer, Lucas Thibaut and Bowles, Micah and
                   Wagner-Carena, Sebastian and Qu, Helen and Golkar, Siavash and
                   Bietti, Alberto and Bourfoune, Hatim and Cornette, Pierre and
                   Hirashima, Keiya and Krawezik, Geraud and Ohana, Ruben and
                   Lourie, Nicholas and McCabe, Michael and Morel, Rudy and
                   Mukhopadhyay, Payel and Pettee, Mariel and Cho, Kyunghyun and
                   Cranmer, Miles and Ho, Shirley},
  title         = {Universal Spectral Tokenization via Self-Supervised Panchromatic
                   Representation Learning},
  journal       = {arXiv e-prints},
  year          = {2025},
  eprint        = {2510.17959},
  archivePrefix = {arXiv},
  primaryClass  = {astro-ph.IM},
  url           = {https://arxiv.org/abs/2510.17959},
}
""".replace("VERSION", __version__)

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
