"""Pass parameters down: signature and documentation of what ``**options`` takes."""

import re
from collections.abc import Iterator
from functools import partial
from inspect import CO_VARKEYWORDS, Parameter, Signature, cleandoc, signature
from textwrap import indent
from types import FunctionType
from typing import Any, cast

_LATER = {  # what may follow each section, in numpydoc's order
    "Parameters": r"^(Attributes|Notes|References|Examples)\n-",
    "Attributes": r"^(Notes|References|Examples)\n-",
}


def inherit_options(cls: type) -> None:
    """Give a class the parameters that its ``__init__`` hands on to its bases.

    ``__init__(self, own=1, **options)`` calls ``super().__init__(**options)``. Here its
    signature gets the parameters that it does not name, as keywords, with the defaults
    in the class's own ``_defaults`` where there are any, and its docstring their
    entries, so that ``help``, ``get_params`` and ``clone`` see them. The options go to
    the next class in the method resolution order that has an ``__init__``, and on from
    there if that one takes ``**options`` as well. Mixins may stand before it.

    Parameters
    ----------
    cls : type
        Its bases document all their parameters and attributes.

    Raises
    ------
    TypeError
        If the class has no ``__init__`` and inherits one of a mixin that takes
        ``**options``, which has to stay as it is for other classes.
    """
    bases = list(_bases(cls))
    init, inherited = vars(cls).get("__init__"), cast(Any, cls).__init__
    if init is not None:
        cast(Any, init).__signature__ = _completed(cls, signature(init), bases)
    elif isinstance(inherited, FunctionType) and _takes_options(signature(inherited)):
        raise TypeError(
            f"{cls.__name__} needs an __init__ of its own that hands **options on, "
            "because its first base with an __init__ is a mixin."
        )
    names = list(signature(inherited).parameters)
    for base in bases:
        if cls.__doc__ and base.__doc__:
            text = _merged(cleandoc(cls.__doc__), cleandoc(base.__doc__), names)
            text = indent(_with_defaults(cls, text), "    ").strip()
            cls.__doc__ = f"{text}\n    "


def _bases(cls: type) -> Iterator[type]:
    """Yield the classes that options run through, to the one that takes no more."""
    for base in cls.__mro__[1:]:
        yield base
        init = vars(base).get("__init__")
        # not by its signature, which was completed
        if (
            isinstance(init, FunctionType)
            and not init.__code__.co_flags & CO_VARKEYWORDS
        ):
            return


def _takes_options(of: Signature) -> bool:
    return any(p.kind is Parameter.VAR_KEYWORD for p in of.parameters.values())


def _completed(cls: type, own: Signature, bases: list[type]) -> Signature:
    if not _takes_options(own):
        return own
    options = [p for p in own.parameters.values() if p.kind is Parameter.VAR_KEYWORD]
    found = {n: p for n, p in own.parameters.items() if p not in options}
    defaults = vars(cls).get("_defaults", {})
    for base in bases:
        init = vars(base).get("__init__")
        passed = signature(init).parameters if init is not None else {}
        for name, parameter in passed.items():
            if name not in found and parameter.kind is not Parameter.VAR_KEYWORD:
                default = defaults.get(name, parameter.default)
                kind = Parameter.KEYWORD_ONLY
                found[name] = parameter.replace(kind=kind, default=default)
    return own.replace(parameters=list(found.values()))


def _merged(text: str, base_text: str, parameters: list[str]) -> str:
    """Return a docstring with the entries that only the base's has."""
    for section in _LATER:
        entries = _entries(text, section)
        for name, entry in _entries(base_text, section).items():
            if section == "Attributes" or name in parameters:
                entries.setdefault(name, entry)
        if not entries:
            continue
        if section == "Parameters":
            entries = dict(sorted(entries.items(), key=_place_in(parameters)))
        block = f"{section}\n{'-' * len(section)}\n" + "\n\n".join(entries.values())
        found = _section(text, section)
        if found:
            start, end = found.span()
        else:
            later = re.search(_LATER[section], text, re.M)
            start = end = later.start() if later else len(text)
        parts = (text[:start].rstrip(), block, text[end:].lstrip("\n"))
        text = "\n\n".join(parts).rstrip()
    return text


def _place_in(parameters: list[str]) -> Any:
    """Return a sorting key of (name, entry): as the signature has them."""
    order = {name: place for place, name in enumerate(parameters)}

    def place(item: tuple[str, str]) -> int:
        return order.get(item[0].split(",")[0], len(order))

    return place


def _with_defaults(cls: type, text: str) -> str:
    """Return a docstring with the defaults of the class, where its base has others."""
    for name, parameter in signature(cast(Any, cls).__init__).parameters.items():
        if parameter.default is not Parameter.empty:
            default = _literal(parameter.default)
            text = re.sub(
                rf"^({name} : .*default=).*$",
                partial(_completed_line, default=default),
                text,
                count=1,
                flags=re.M,
            )
    return text


def _completed_line(found: re.Match, default: str) -> str:
    return found[1] + default


def _literal(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _section(text: str, section: str) -> re.Match | None:
    pattern = rf"^{section}\n-+\n(.*?)(?=^\w[^\n]*\n--|\Z)"
    return re.search(pattern, text, re.M | re.S)


def _entries(text: str, section: str) -> dict[str, str]:
    """Return {name: entry} of one numpydoc section."""
    found = _section(text, section)
    if not found:
        return {}
    entries = re.split(r"\n\s*\n(?=\w)", found[1].strip())
    return {entry.split(" :")[0]: entry.strip() for entry in entries}
