from ._observe import observe

__all__ = ["observe"]
