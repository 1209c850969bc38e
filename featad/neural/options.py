"""Pass parameters down: signature and documentation of a base's ``**options``."""

import re
from inspect import Parameter, cleandoc, signature
from textwrap import indent
from typing import TypedDict

import numpy as np

_NAMED = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
_LATER = {  # what may follow each section, in numpydoc's order
    "Parameters": r"^(Attributes|Notes|References|Examples)\n-",
    "Attributes": r"^(Notes|References|Examples)\n-",
}


class TorchOptions(TypedDict, total=False):
    """What ``**options`` of a ``TorchDetector`` may hold, for editors and mypy."""

    max_epochs: int
    batch_size: int
    lr: float
    trim: float
    balance: float | None
    ema: float | None
    clip_grad: float | None
    early_stopping: int | None
    validation_fraction: float
    device: str
    precision: str
    score_batch_size: int
    contamination: float
    verbose: bool
    random_state: int | np.random.RandomState | None


def inherit_options(cls: type) -> None:
    """Give a class the parameters that its ``__init__`` hands to its bases.

    ``__init__(self, own=1, **options)`` calls ``super().__init__(**options)``; here its
    signature gets the keyword parameters of the bases that it does not name, with the
    defaults in the class's own ``_defaults`` where there are any, and its docstring
    their entries, so that ``help``, ``get_params`` and ``clone`` see them.

    Parameters
    ----------
    cls : type
        Its bases document all their parameters and attributes.
    """
    init = cls.__dict__.get("__init__")
    if init is not None:
        own = list(signature(init).parameters.values())
        if own[-1].kind is Parameter.VAR_KEYWORD:
            named = {parameter.name: parameter for parameter in own[:-1]}
            defaults = cls.__dict__.get("_defaults", {})
            for base in cls.__bases__:
                for name, parameter in signature(base.__init__).parameters.items():
                    if parameter.kind in _NAMED:
                        default = defaults.get(name, parameter.default)
                        named.setdefault(name, parameter.replace(default=default))
            order = list(named.values())
            init.__signature__ = signature(init).replace(parameters=order)
    for base in cls.__bases__:
        if cls.__doc__ and base.__doc__:
            cls.__doc__ = _merged(cls, cleandoc(cls.__doc__), cleandoc(base.__doc__))


def _merged(cls, text, base_text):
    for section in _LATER:
        own, inherited = _entries(text, section), _entries(base_text, section)
        missing = "\n\n".join(v for k, v in inherited.items() if k not in own)
        if own and missing:
            last = list(own.values())[-1]
            text = text.replace(last, f"{last}\n\n{missing}")
        elif missing:
            block = f"{section}\n{'-' * len(section)}\n{missing}\n\n"
            later = re.search(_LATER[section], text, re.M)
            place = later.start() if later else len(text)
            before = text[:place].rstrip()
            text = f"{before}\n\n{block}{text[place:]}".rstrip()
    for name, parameter in signature(cls.__init__).parameters.items():
        if parameter.default is not Parameter.empty:
            default = _literal(parameter.default)
            text = re.sub(
                rf"^({name} : .*default=).*$",
                lambda found, default=default: found[1] + default,
                text,
                count=1,
                flags=re.M,
            )
    return indent(text, "    ").strip()


def _literal(value):
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _entries(text, section):
    """Return {name: entry} of one numpydoc section."""
    found = re.search(rf"^{section}\n-+\n(.*?)(?=^\w[^\n]*\n--|\Z)", text, re.M | re.S)
    if not found:
        return {}
    entries = re.split(r"\n\s*\n(?=\w)", found[1].strip())
    return {entry.split(" :")[0]: entry.strip() for entry in entries}
