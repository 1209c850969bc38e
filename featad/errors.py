"""The errors featad raises about files and weights."""


class FeatadError(Exception):
    """Base of featad's own errors: something outside the program is not as it should.

    The command line prints its message as one sentence and exits with code 1.
    """


class ImageReadError(FeatadError, ValueError):
    """An image could not be read; the message names the file and the reason.

    Parameters
    ----------
    source : object
        What was to be read: a path, or a short description of a source in memory.

    reason : str
        Why it could not be read, as a clause without a full stop.

    Attributes
    ----------
    source, reason
        As given.
    """

    def __init__(self, source: object, reason: str) -> None:
        super().__init__(source, reason)  # both in args: the error survives pickling
        self.source = source
        self.reason = reason

    def __str__(self) -> str:
        return f"Cannot read {str(self.source)!r}: {self.reason}."


class DatasetError(FeatadError, ValueError):
    """A folder or a manifest does not hold the data set it should."""


class WeightsNotFoundError(FeatadError, RuntimeError):
    """Pretrained weights are neither cached, nor to be downloaded, nor in a file."""


class WeightsChangedError(FeatadError, RuntimeError):
    """The weights found are not the ones the system was fitted with."""


class ModelFileError(FeatadError, RuntimeError):
    """A model file is damaged, from another version, or no featad model at all."""


class MissingExtraError(FeatadError, ImportError):
    """Something needs a package that is not installed; the message says which."""


class ImageReadWarning(UserWarning):
    """Images were left out because they could not be read; the message names them."""
