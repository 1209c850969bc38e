"""Systems out of model files, and what is said of files that hold none."""

import os
import re
import warnings
from typing import Any, BinaryIO

import joblib
from sklearn.exceptions import InconsistentVersionWarning

from featad import safe_files
from featad.errors import FeatadError, ModelFileError
from featad.model_records import check_version, installed_version


def read_model(
    file: str | os.PathLike | BinaryIO,
    name: str,
    *,
    is_safe: bool,
    allow_other_versions: bool = False,
) -> Any:
    """Return the system in a file.

    Parameters
    ----------
    file : path-like or binary file

    name : str
        What errors call it.

    is_safe : bool
        Whether the file is one of skops, that can run no code; else it is one of
        joblib, that can.

    allow_other_versions : bool, default=False
        Whether another version of scikit-learn may have written it.

    Raises
    ------
    ModelFileError
        If the file is damaged, of another version, could do harm, or holds anything
        but a system.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InconsistentVersionWarning)
        try:
            system = safe_files.load(file, name) if is_safe else joblib.load(file)
        except safe_files.UntrustedTypesError as error:
            raise _of_foreign_types(name, error.names) from None
        except FeatadError:  # it says what is wrong, such as weights that are missing
            raise
        except Exception as error:  # unpickling damaged bytes can raise anything
            package = _package_of_missing_name(error)
            if package:
                raise _of_another_version(name, package, error) from error
            raise ModelFileError(
                f"{name!r} is not a model file, or is damaged "
                f"({type(error).__name__}: {error})."
            ) from error
    for warning in caught:
        told = warning.message
        if isinstance(told, InconsistentVersionWarning) and not allow_other_versions:
            check_version(name, "scikit-learn", told.original_sklearn_version, 2)
        elif not isinstance(told, InconsistentVersionWarning):
            warnings.warn(told)
    if not hasattr(system, "score_samples"):
        raise ModelFileError(
            f"{name!r} holds a {type(system).__name__}, which has no "
            "score_samples. Expected a detector, or a pipeline that ends in one."
        )
    return system


def _package_of_missing_name(error):
    """Return featad or numpy where unpickling failed on a name that it does not have.

    NumPy 1 lacks modules of NumPy 2.
    """
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").split(".")[0]
    elif isinstance(error, AttributeError):
        package = re.findall(r"module '(\w+)|$", str(error))[0]
    else:
        return None
    return package if package in ("featad", "numpy") else None


def _of_another_version(name, package, reason):
    return ModelFileError(
        f"{name!r} was written with another version of {package} than "
        f"{installed_version(package)} ({reason}). Install that version, or fit the "
        "model again."
    )


def _of_foreign_types(name, types):
    if all(found.startswith("featad.") for found in types):
        return _of_another_version(name, "featad", f"no {types[0]} is known here")
    return ModelFileError(
        f"{name!r} holds types that are neither featad's nor known to be safe: "
        f"{', '.join(types)}."
    )
