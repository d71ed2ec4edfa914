"""The exceptions a user can meet; each message says what was expected, what came, what to do."""


class ThroughtimeError(Exception):
    """Base of every error this library raises for a mistake its user can mend."""


class ShapeError(ThroughtimeError, RuntimeError, ValueError):
    """A tensor has the wrong axes, sizes, dtype or device.

    It is both a `RuntimeError` and a `ValueError` because `torch.nn` raises either,
    depending on the check, and code that catches one must keep working.
    """


class OptionError(ThroughtimeError, ValueError, TypeError):
    """An option has a value that does not exist or does not fit the others."""


class DataError(ThroughtimeError, ValueError):
    """A text, file or folder cannot be read or does not hold what is needed."""


class RunError(ThroughtimeError, RuntimeError):
    """A run folder is missing, damaged, in the way, or from another version."""


class PackageError(ThroughtimeError, ImportError):
    """A package that only this function needs is not installed."""
