"""Hostile model files, by the names that the guide's page on trust gives them."""

import io
import json
import pickle
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests._hostile import Evil, Ground, dictionary, listed, node, npy, text


def _first_array(ground, content):
    members = ground.inner()
    name = next(name for name in members if name.endswith(".npy"))
    return ground.with_inner(members | {name: content})


def _system(mark):
    """Return what a .skops file says of a call of os.system."""
    return node(
        "ConstructorFromReduceNode",
        "os",
        "system",
        content=listed(text(f"touch {mark}")),
    )


def _partial(ground):
    function = node("FunctionNode", "os", "system")
    content = {
        "func": function,
        "args": listed(text(f"touch {ground.mark}")),
        "kwds": dictionary(),
        "namespace": text(None),
    }
    return ground.with_node(
        node("PartialNode", "functools", "partial", content=content)
    )


def _method(ground):
    file = node("ObjectNode", "pathlib", "Path", content=dictionary())
    content = {"func": "unlink", "obj": file}
    return ground.with_node(node("MethodNode", "pathlib", "Path", content=content))


def _attrgetter(ground):
    attrs = listed(text("system"))
    return ground.with_node(
        node("OperatorFuncNode", "operator", "attrgetter", attrs=attrs)
    )


def _generator(ground):
    state = dictionary(bit_generator=text("seed"))
    content = {"bit_generator": state, "seed_seq": dictionary()}
    return ground.with_node(
        node("RandomGeneratorNode", "numpy.random", "Generator", content=content)
    )


def _unheard_module(ground):
    (ground.folder / "evil_module.py").write_text(
        f"open({str(ground.mark)!r}, 'w')\nclass Thing: pass\n"
    )
    return ground.with_node(node("ObjectNode", "evil_module", "Thing"))


def _link(ground):
    info = zipfile.ZipInfo("examples/9")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return ground.with_extra(info)


def _nul(ground):
    path = ground.with_extra("examples/9Z.png")
    path.write_bytes(path.read_bytes().replace(b"9Z.png", b"9\0.png"))
    return path


def _twice(ground):
    content = ground.members["system.skops"]
    members = {"manifest.json": json.dumps(ground.manifest), **ground.members}
    other = zipfile.ZipInfo("SYSTEM.skops")
    return ground.zip([*members.items(), (other, content)])


def _bomb(ground):
    zeros = np.zeros(20_000_000, np.uint8)
    return ground.zip(
        [("manifest.json", b"{}"), ("system.skops", zeros.tobytes())],
        compression=zipfile.ZIP_DEFLATED,
    )


def _inner_bomb(ground):
    members = ground.inner() | {"1.npy": npy(np.zeros(50_000_000, np.uint8))}
    return ground.with_inner(members, compression=zipfile.ZIP_DEFLATED)


def _nested_bomb(ground):
    inner = ground.zip([("data.npy", b"")], "inner.npz")
    return ground.with_inner(ground.inner() | {"1.bin": inner.read_bytes()})


def _directory(data):
    """Return where the directory of a zip file begins: with its first member."""
    return int.from_bytes(data[-6:-2], "little")


def _claim(ground, claimed):
    """Write a bundle whose manifest claims to have another size than it has."""
    path = ground.bundle()
    data = bytearray(path.read_bytes())
    entry = _directory(data)
    data[entry + 24 : entry + 28] = claimed.to_bytes(4, "little")
    path.write_bytes(data)
    return path


def _packed_claim(ground):
    path = ground.zip(
        [("manifest.json", b"[" + b" " * 1000 + b"]")], compression=zipfile.ZIP_DEFLATED
    )
    data = bytearray(path.read_bytes())
    entry = _directory(data)
    data[entry + 24 : entry + 28] = (10).to_bytes(4, "little")
    path.write_bytes(data)
    return path


def _overlap(ground):
    """Write members that share their bytes, as in bombs that use no compression."""
    path = ground.bundle()
    data = path.read_bytes()
    start, end = _directory(data), len(data) - 22
    entry = data[start:end]
    first = entry[: entry.index(b"PK\x01\x02", 4)]
    tail = bytearray(data[end:])
    size = 4000
    entries = b"".join(_renamed(first, number) for number in range(size))
    tail[8:12] = size.to_bytes(2, "little") * 2
    tail[12:16] = len(entries).to_bytes(4, "little")
    path.write_bytes(data[:start] + entries + bytes(tail))
    return path


def _renamed(entry, number):
    return entry.replace(b"manifest.json", f"manifest{number:05}"[-13:].encode())


def _huge_array(ground):
    header = str({"descr": "<f8", "fortran_order": False, "shape": (1 << 50,)}).encode()
    content = b"\x93NUMPY\x01\x00" + len(header + b"\n").to_bytes(2, "little")
    return _first_array(ground, content + header + b"\n")


def _laughs(ground):
    def nested(depth):
        inner = nested(depth - 1) if depth else text(0)
        again = {"__id__": depth, "__loader__": "ListNode"}
        first = {**inner, "__id__": depth}
        return listed(first, *[again] * 9, of="list")

    return ground.with_node(nested(40))


def _cycle(ground):
    own = {**listed(of="list"), "__id__": -7}
    own["content"] = [{"__id__": -7, "__loader__": "ListNode"}]
    return ground.with_node(own)


def _deep(ground):
    members = ground.inner()
    members["schema.json"] = b"[" * 100_000 + b"]" * 100_000
    return ground.with_inner(members)


def _tree(ground, change):
    """Write the bundle with other nodes in its first tree."""
    members = ground.inner()
    for name, content in members.items():
        if name.endswith(".npy"):
            array = np.load(io.BytesIO(content))
            if array.dtype.names and "left_child" in array.dtype.names:
                change(array)
                return ground.with_inner(members | {name: npy(array)})
    raise AssertionError("there is no tree")


def _outside(array):
    array["left_child"][0] = 10**9


def _loop(array):
    array["left_child"][0] = array["right_child"][0] = 0


def _feature(array):
    array["feature"][0] = 10**9


def _digest(ground):
    name = next(name for name in ground.members if name.startswith("examples/"))
    ground.members[name] += b"."
    return ground.bundle(seal=False)


def _cut(ground):
    path = ground.bundle()
    path.write_bytes(path.read_bytes()[:-200])
    return path


def _not_listed(ground):
    path = ground.bundle()
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("examples/99", b"evil")
    return path


def _missing(ground):
    return ground.bundle(files=ground.manifest["files"] | {"examples/99": "0" * 64})


def _other_scores(ground):
    for example in ground.manifest["examples"]:
        example["score"] += 100.0
    return ground.bundle()


def _giant_example(ground):
    name = ground.manifest["examples"][0]["file"]
    png = bytearray(ground.members[name])
    png[16:24] = (1 << 15).to_bytes(4, "big") * 2  # width and height
    png[29:33] = zlib.crc32(png[12:29]).to_bytes(4, "big")
    ground.members[name] = bytes(png)
    return ground.bundle()


OS_SYSTEM = {"module_path": "os", "function": "system"}  # in protocol 0
PICKLE = "a pickle in the place of an array"

ATTACKS: dict[str, Callable[[Ground], Path]] = {
    PICKLE: lambda g: _first_array(g, pickle.dumps(Evil(g.mark))),
    "a pickle in an array of objects": lambda g: _first_array(
        g, npy(np.array([Evil(g.mark)], dtype=object), allow_pickle=True)
    ),
    "a pickle as one more member": lambda g: g.with_inner(
        g.inner() | {"1.pkl": pickle.dumps(Evil(g.mark))}
    ),
    "a pickle as the whole file": lambda g: _written(
        g, "model.featad", pickle.dumps(Evil(g.mark))
    ),
    "a pickle called .skops": lambda g: _written(
        g, "model.skops", pickle.dumps(Evil(g.mark))
    ),
    "a call of os.system": lambda g: g.with_node(_system(g.mark)),
    "os.system as a function": lambda g: g.with_node(
        node("FunctionNode", "os", "system")
    ),
    "builtins.eval as a type": lambda g: g.with_node(
        node("TypeNode", "builtins", "eval")
    ),
    "functools.partial of os.system": _partial,
    "operator.attrgetter": _attrgetter,
    "a method of pathlib.Path": _method,
    "joblib.load by name": lambda g: g.with_node(
        node("FunctionNode", "joblib", "load")
    ),
    "a function of featad by name": lambda g: g.with_node(
        node("FunctionNode", "featad.persistence", "load")
    ),
    "numpy.random.seed as a generator": _generator,
    "a splitter that holds a function": lambda g: g.with_parameter(
        "cv",
        node(
            "ObjectNode",
            "sklearn.model_selection._split",
            "KFold",
            content=dictionary(split=node("FunctionNode", "numpy", "add")),
        ),
        of="Pipeline",
    ),
    "a splitter of another kind": lambda g: g.with_node(
        node("ObjectNode", "sklearn.model_selection._split", "RepeatedKFold")
    ),
    "a module that runs when imported": _unheard_module,
    "an older protocol of skops": lambda g: g.with_node(
        node("FunctionNode", "os", "system", content=OS_SYSTEM), protocol=0
    ),
    "a loader that skops does not have": lambda g: g.with_node(
        node("EvilNode", "os", "system")
    ),
    "a Path as a parameter": lambda g: g.with_parameter(
        "weights", node("ObjectNode", "pathlib", "PosixPath"), of="VGGFeatures"
    ),
    "weights that are another file": lambda g: g.with_parameter(
        "weights", "/etc/passwd", of="VGGFeatures"
    ),
    "weights at an address": lambda g: g.with_parameter(
        "weights", "https://example.com/w.pth", of="VGGFeatures"
    ),
    "weights on a network share": lambda g: g.with_parameter(
        "weights", r"\\example.com\share\w.pth", of="VGGFeatures"
    ),
    "weights to download": lambda g: g.with_parameter(
        "arch", "vgg16", of="VGGFeatures"
    ),
    "a cache folder": lambda g: g.with_parameter(
        "cache", str(g.folder), of="VGGFeatures"
    ),
    "a memory of a pipeline, which holds pickles": lambda g: g.with_parameter(
        "memory", str(g.folder), of="Pipeline"
    ),
    "a member called ../evil": lambda g: g.with_extra("../evil"),
    "a member with an absolute name": lambda g: g.with_extra("/tmp/evil"),
    "a member on another drive": lambda g: g.with_extra("C:evil"),
    "a member with backslashes": lambda g: g.with_extra("examples\\..\\..\\evil"),
    "a member with NUL in its name": _nul,
    "a member that is a folder": lambda g: g.with_extra("examples/"),
    "a symbolic link": _link,
    "two members of one name, but for case": _twice,
    "a member that the manifest does not list": _not_listed,
    "a manifest that lists what is not there": _missing,
    "a zip bomb": _bomb,
    "a zip bomb in the system": _inner_bomb,
    "a zip file in the system": _nested_bomb,
    "members that share their bytes": _overlap,
    "a member that claims to be larger": lambda g: _claim(g, 1 << 30),
    "a member that claims to be smaller": _packed_claim,
    "an array that claims to be larger": _huge_array,
    "an example of very many pixels": _giant_example,
    "lists of lists that grow when they are written out": _laughs,
    "a list that holds itself": _cycle,
    "a description nested too deeply": _deep,
    "a tree whose branch leads out of it": lambda g: _tree(g, _outside),
    "a tree whose branch leads back": lambda g: _tree(g, _loop),
    "a tree that asks for a column that is not there": lambda g: _tree(g, _feature),
    "8-bit ranges that are none": lambda g: g.with_parameter(
        "quantization_", "none", of="VGGFeatures"
    ),
    "a member with another sha256 than the manifest's": _digest,
    "a manifest of another format": lambda g: g.bundle(bundle=99),
    "a manifest with other types": lambda g: g.bundle(packages=[], examples={"a": 1}),
    "a manifest with other scores": _other_scores,
    "a file cut short": _cut,
}
"""Functions that write a hostile file on a ground and return its path."""


def _written(ground, name, content):
    path = ground.folder / name
    path.write_bytes(content)
    return path
