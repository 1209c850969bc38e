"""What hostile model files are made of."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np


class Ground:
    """Where attacks are made, out of an honest bundle.

    Parameters
    ----------
    folder : Path
        An empty folder.

    bundle : Path
        An honest bundle of a system with trees.
    """

    def __init__(self, folder: Path, bundle: Path) -> None:
        self.folder, self.mark = folder, folder / "mark"
        with zipfile.ZipFile(bundle) as archive:
            self.members = {name: archive.read(name) for name in archive.namelist()}
        self.manifest = json.loads(self.members.pop("manifest.json"))

    def bundle(self, *, seal: bool = True, **manifest) -> Path:
        """Write the members as a bundle, with digests that fit if it is sealed."""
        if seal:
            digests = {
                name: hashlib.sha256(content).hexdigest()
                for name, content in self.members.items()
            }
            self.manifest["files"] = digests
        text = json.dumps(self.manifest | manifest)
        return self.zip({"manifest.json": text.encode(), **self.members}.items())

    def zip(self, members, name="model.featad", **options) -> Path:
        """Write (name or ZipInfo, content) as a zip file."""
        path = self.folder / name
        with zipfile.ZipFile(path, "w", **options) as archive:
            for member, content in members:
                archive.writestr(member, content)
        return path

    def with_extra(self, info: str | zipfile.ZipInfo) -> Path:
        """Write the bundle with one more member."""
        text = json.dumps(self.manifest).encode()
        members = {"manifest.json": text, **self.members}
        return self.zip([*members.items(), (info, b"evil")])

    def inner(self) -> dict[str, bytes]:
        """Return the members of the system in the bundle."""
        with zipfile.ZipFile(io.BytesIO(self.members["system.skops"])) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def with_inner(self, members: dict[str, bytes], **options) -> Path:
        """Write the bundle with other members in its system."""
        path = self.zip(members.items(), "system", **options)
        self.members["system.skops"] = path.read_bytes()
        return self.bundle()

    def with_node(self, node: dict, protocol: int | None = None) -> Path:
        """Write the bundle with something more among the attributes of its system."""

        def change(schema):
            schema["content"]["content"]["extra_"] = node
            schema["protocol"] = schema["protocol"] if protocol is None else protocol

        return self.with_schema(change)

    def with_schema(self, change: Callable[[dict], object]) -> Path:
        """Write the bundle with another description of its system."""
        members = self.inner()
        schema = json.loads(members["schema.json"])
        change(schema)
        members["schema.json"] = json.dumps(schema).encode()
        return self.with_inner(members)

    def with_parameter(self, name: str, value: object, of: str) -> Path:
        """Write the bundle with another parameter of its objects of one class."""
        node = value if isinstance(value, dict) else text(value)

        def visit(part):
            if isinstance(part, dict):
                if part.get("__class__") == of:
                    part["content"]["content"][name] = node
                    part["content"]["key_types"]["content"].append(str_type())
                for inner in list(part.values()):
                    visit(inner)
            elif isinstance(part, list):
                for inner in part:
                    visit(inner)

        return self.with_schema(visit)


class Evil:
    """Leaves a mark when it is unpickled.

    Parameters
    ----------
    mark : Path
    """

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return open, (str(self.mark), "w")


def node(loader: str, module: str, name: str, **more) -> dict:
    """Return what a .skops file says of an object."""
    return {"__class__": name, "__module__": module, "__loader__": loader, **more}


def text(value: object) -> dict:
    """Return what a .skops file says of a plain value."""
    return node("JsonNode", "builtins", "str", content=json.dumps(value), is_json=True)


def str_type() -> dict:
    """Return what a .skops file says of the type of a key."""
    return node("TypeNode", "builtins", "str")


def listed(*items: dict, of: str = "tuple") -> dict:
    """Return what a .skops file says of a tuple or list."""
    loader = f"{of.capitalize()}Node"
    return node(loader, "builtins", of, content=list(items))


def dictionary(**items: dict) -> dict:
    """Return what a .skops file says of a dict with names as its keys."""
    keys = listed(*[str_type() for _ in items], of="list")
    return node("DictNode", "builtins", "dict", content=items, key_types=keys)


def npy(array: np.ndarray, allow_pickle: bool = False) -> bytes:
    """Return an array as a file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=allow_pickle)
    return file.getvalue()
