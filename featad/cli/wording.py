"""What errors and warnings advise in Python, said as options of the command line."""

import re

_VALUE = r"""(?P<value>'[^']*'|"[^"]*"|\[[^]]*\]|[\w./\\*+~:-]*[\w/\\*+~:-])?"""
_OPTIONS = {  # parameters that are options by themselves
    "weights": "--weights",
    "device": "--device",
    "engine": "--engine",
    "precision": "--precision",
    "cache": "--cache",
    "target_fpr": "--target-fpr",
    "on_error": "--on-error",
    "groups": "--groups",
    "batch_size": "--batch-size",
}
_PARAMETERS = {  # parameters of a system's steps, where they are advised
    **{name: name for name in ("layer", "preprocessing", "image_size", "size")},
    **{name: name for name in ("max_value", "pages")},
    **{name: f"detector__{name}" for name in ("gamma", "threshold", "contamination")},
    **{name: f"detector__{name}" for name in ("lr", "clip_grad", "early_stopping")},
}
_BOTH = re.compile(r"\w+=\S+ \((--[\w-]+(?: [^\s)]+)?)(?: on the command line)?\)")
"""Where a message names the option as well, after the argument."""

_PHRASES = {
    "two folders (normal, anomaly)": "its two folders, --normal NAME --anomaly NAME",
    "normal=... and anomaly=...": "--normal NAME and --anomaly NAME",
    "load(path, weights=FILE), or --weights FILE": "--weights FILE",
    "with featad.calibrate(system)": "with `featad calibrate MODEL DIR`",
    "Fit featad.calibrate(system) instead": "Give it one: `featad calibrate MODEL DIR`",
}


def as_options(text: str) -> str:
    """Return a message with options in place of Python arguments.

    Parameters
    ----------
    text : str
        What an error or a warning says.

    Returns
    -------
    text : str

    Examples
    --------
    >>> as_options("Put that file there by hand, or pass weights=FILE.")
    'Put that file there by hand, or pass --weights FILE.'
    >>> as_options("OneClassSVM is blind: with gamma=0.1 ... Set gamma='median'.")
    'OneClassSVM is blind: with gamma=0.1 ... Pass --set detector__gamma=median.'
    """
    for phrase, option in _PHRASES.items():
        text = text.replace(phrase, option)
    text = _BOTH.sub(r"\1", text)
    names = "|".join(_OPTIONS)
    text = re.sub(rf"(?<![\w/\\-])(?P<name>{names})={_VALUE}", _as_option, text)
    names = "|".join(_PARAMETERS)
    advised = (
        rf"(?P<verb>\b[Pp]ass|\b[Ss]et|\b[Tt]ake|\bor|\bas) (?P<name>{names})={_VALUE}"
    )
    return re.sub(advised, _as_assignment, text)


def _as_option(found: re.Match) -> str:
    value = (found["value"] or "").strip("'\"")
    return f"{_OPTIONS[found['name']]} {value}".rstrip()


def _as_assignment(found: re.Match) -> str:
    value = (found["value"] or "VALUE").strip("'\"")
    verb = {"Set": "Pass", "set": "pass"}.get(found["verb"], found["verb"])
    return f"{verb} --set {_PARAMETERS[found['name']]}={value}"
