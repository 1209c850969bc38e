"""The errors featad raises about files and weights."""


class FeatadError(Exception):
    """Base of featad's own errors: something outside the program is not as expected.

    The command line prints the message as one sentence and exits with code 1.

    Examples
    --------
    >>> import featad
    >>> from featad.errors import FeatadError
    >>> try:
    ...     featad.read_image("missing.png")
    ... except FeatadError as error:
    ...     print(type(error).__name__)
    ImageReadError
    """


class ImageReadError(FeatadError, ValueError):
    """An image could not be read; the message names the file and the reason.

    Parameters
    ----------
    source : object
        The source: a path, or a short description of an image in memory.

    reason : str
        Why it could not be read, as a clause without a period.

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
    """A folder or a manifest does not contain the expected data set."""


class WeightsNotFoundError(FeatadError, RuntimeError):
    """Pretrained weights are not cached, not in a file, and cannot be downloaded."""


class WeightsChangedError(FeatadError, RuntimeError):
    """The weights found are not those that the system was fitted with."""


class ModelFileError(FeatadError, RuntimeError):
    """A file is damaged, dangerous, from another version, or not a featad model."""


class ClusterError(FeatadError, RuntimeError):
    """The workers of a Dask cluster cannot score; the message says why."""


class MissingExtraError(FeatadError, ImportError):
    """Something needs a package that is not installed; the message says which."""


class ImageReadWarning(UserWarning):
    """Images were skipped because they could not be read; the message names them."""


class DatasetWarning(UserWarning):
    """Files of a data set were left out, or are copies; the message counts them."""


class ImageWarning(UserWarning):
    """Images were read, but perhaps not as they are meant; the message names them."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception says that memory was not enough, also a GPU's."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "DefaultCPUAllocator" in str(error)  # a RuntimeError of torch
    )
