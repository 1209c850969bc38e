import hashlib
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from featad.errors import WeightsNotFoundError
from featad.features import download as _download
from featad.features import weights
from featad.features.weights import find_weights, load_network, preset, weights_status

ARCH = "squeezenet1_1"


@pytest.fixture(scope="module")
def network():
    return load_network(ARCH, None, random_state=7)


@pytest.fixture(scope="module")
def published(network, tmp_path_factory):
    """Return a folder that holds one file, with its hash in its name."""
    folder = tmp_path_factory.mktemp("published")
    file = folder / "weights"
    torch.save(network[0].state_dict(), file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return file.rename(folder / f"{ARCH}-{digest[:8]}.pth").parent


@pytest.fixture(autouse=True)
def torch_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(_download, "_failures", {})
    monkeypatch.setattr(weights, "_verified", set())
    return tmp_path / "home"


@pytest.fixture
def set_url(monkeypatch):
    def set_url(url):
        monkeypatch.setattr(weights, "published_url", lambda *_: url)

    return set_url


@pytest.fixture
def server(published, set_url):
    """Serve the published file on loopback; yield the paths that were asked for."""
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            asked.append(self.path)

    handler = partial(Handler, directory=str(published))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    name = next(published.iterdir()).name
    set_url(f"http://127.0.0.1:{server.server_port}/{name}")
    yield asked
    server.shutdown()
    server.server_close()


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def files_in(home):
    names = (path.name for path in home.rglob("*") if path.is_file())
    return sorted(name for name in names if not name.endswith(".lock"))


def test_published_weights_lie_in_torchs_own_cache(torch_home):
    status = weights_status("vgg16")
    assert status.path == torch_home / "hub" / "checkpoints" / "vgg16-397923af.pth"
    assert status.url == "https://download.pytorch.org/models/vgg16-397923af.pth"
    assert not status.is_cached
    assert status.size == pytest.approx(553e6, rel=0.01)


def test_published_weights_are_downloaded_once(server, torch_home, network):
    for _ in range(2):
        _, fingerprint = load_network(ARCH)
        assert fingerprint == network[1]
    assert len(server) == 1
    assert files_in(torch_home / "hub" / "checkpoints") == [Path(server[0]).name]


def test_a_published_set_is_found_by_torchvisions_name(server):
    assert find_weights(ARCH, "IMAGENET1K_V1") == find_weights(ARCH)
    assert len(server) == 1


def test_the_status_knows_a_downloaded_file(server):
    path = find_weights(ARCH).path
    status = weights_status(ARCH)
    assert status.is_cached
    assert status.size == path.stat().st_size


def test_several_downloads_at_once_are_one(server):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(find_weights, [ARCH] * 4))
    assert len(set(found)) == len(server) == 1


def test_a_download_with_another_hash_is_not_kept(server, torch_home, monkeypatch):
    url = weights.published_url(ARCH)
    wrong = re.sub(r"-[0-9a-f]{8}", "-00000000", url)
    monkeypatch.setattr(weights, "published_url", lambda *_: wrong)
    monkeypatch.setattr(_download, "Request", lambda _, **kw: url)
    with pytest.raises(WeightsNotFoundError, match="another hash"):
        find_weights(ARCH)
    assert files_in(torch_home) == []


def test_a_missing_file_on_the_server_is_named(server, set_url):
    set_url(weights.published_url(ARCH) + ".gone")
    with pytest.raises(WeightsNotFoundError, match=r"404.*by hand"):
        find_weights(ARCH)


def test_a_damaged_file_in_the_cache_is_named(published, set_url, torch_home):
    file = next(published.iterdir())
    set_url(f"http://127.0.0.1:{closed_port()}/{file.name}")
    place = torch_home / "hub" / "checkpoints" / file.name
    place.parent.mkdir(parents=True)
    place.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(WeightsNotFoundError, match=f"{file.name}.*Delete it"):
        find_weights(ARCH)


def test_a_file_put_in_the_cache_by_hand_needs_no_network(
    published, set_url, torch_home, network
):
    file = next(published.iterdir())
    set_url(f"http://127.0.0.1:{closed_port()}/{file.name}")
    place = torch_home / "hub" / "checkpoints" / file.name
    place.parent.mkdir(parents=True)
    place.write_bytes(file.read_bytes())
    assert load_network(ARCH)[1] == network[1]


@pytest.mark.parametrize(
    "host",
    [f"127.0.0.1:{closed_port()}", "featad.invalid"],
    ids=["closed port", "no such host"],
)
def test_without_a_network_the_error_says_where_the_file_goes(set_url, host):
    set_url(f"http://{host}/{ARCH}-00000000.pth")
    start = time.perf_counter()
    with pytest.raises(WeightsNotFoundError) as caught:
        find_weights(ARCH)
    assert time.perf_counter() - start < _download.TIMEOUT + 1
    for part in ("checkpoints", f"http://{host}", "by hand", "weights=FILE"):
        assert part in str(caught.value)


def test_a_server_that_never_answers_is_given_up(set_url, monkeypatch):
    monkeypatch.setattr(_download, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        set_url(f"http://127.0.0.1:{silent.getsockname()[1]}/{ARCH}-00000000.pth")
        with pytest.raises(WeightsNotFoundError, match="no answer|timed out"):
            find_weights(ARCH)


def test_an_answer_that_comes_too_late_is_closed(monkeypatch):
    asked, closed = threading.Event(), threading.Event()

    class Answer:
        close = closed.set

    def urlopen(request, timeout):
        asked.wait(10)
        return Answer()

    monkeypatch.setattr(_download, "TIMEOUT", 0.01)
    monkeypatch.setattr(_download, "urlopen", urlopen)
    with pytest.raises(TimeoutError, match="no answer within"):
        _download._open("http://featad.invalid/w.pth")
    assert not closed.is_set()
    asked.set()
    assert closed.wait(10)


def test_a_server_that_failed_is_not_asked_again_at_once(set_url, monkeypatch):
    set_url(f"http://127.0.0.1:{closed_port()}/{ARCH}-00000000.pth")
    for _ in range(2):
        with pytest.raises(WeightsNotFoundError, match="refused"):
            find_weights(ARCH)
        monkeypatch.setattr(_download, "_open", None)  # would fail if it were called


def test_a_file_given_by_hand_is_read(published, network):
    loaded, fingerprint = load_network(ARCH, next(published.iterdir()))
    assert fingerprint == network[1]
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, network[0].state_dict()[name])


def test_the_fingerprint_does_not_depend_on_the_file(network, tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    safetensors.save_file(network[0].state_dict(), tmp_path / "a.safetensors")
    torch.save(dict(reversed(network[0].state_dict().items())), tmp_path / "b.pt")
    assert load_network(ARCH, tmp_path / "a.safetensors")[1] == network[1]
    assert load_network(ARCH, tmp_path / "b.pt")[1] == network[1]


def test_half_precision_files_become_float32(network, tmp_path):
    half = {name: value.half() for name, value in network[0].state_dict().items()}
    torch.save(half, tmp_path / "half.pth")
    loaded, _ = load_network(ARCH, str(tmp_path / "half.pth"))
    assert {value.dtype for value in loaded.state_dict().values()} == {torch.float32}


def test_counters_of_batch_normalization_may_be_missing(tmp_path):
    network, fingerprint = load_network("resnet18", None)
    state = network.state_dict()
    kept = {name: state[name] for name in state if not name.endswith("_tracked")}
    torch.save(kept, tmp_path / "resnet.pth")
    assert load_network("resnet18", tmp_path / "resnet.pth")[1] == fingerprint


def test_old_names_of_densenet_are_understood(tmp_path):
    network, fingerprint = load_network("densenet121", None)
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12]\.)", r"\1.\2", name): value
        for name, value in network.state_dict().items()
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, tmp_path / "densenet.pth")
    assert load_network("densenet121", tmp_path / "densenet.pth")[1] == fingerprint


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsNotFoundError, match=r"no weights file .*gone\.pth"):
        find_weights(ARCH, tmp_path / "gone.pth")


@pytest.mark.parametrize("keep", [0, 1000])
def test_a_file_cut_short_is_named(published, tmp_path, keep):
    (tmp_path / "cut.pth").write_bytes(next(published.iterdir()).read_bytes()[:keep])
    with pytest.raises(WeightsNotFoundError, match=r"cut\.pth' is not a weights file"):
        load_network(ARCH, tmp_path / "cut.pth")


def test_a_file_that_would_run_code_is_refused(tmp_path):
    torch.save(threading.Thread, tmp_path / "code.pth")
    with pytest.raises(WeightsNotFoundError, match=r"code\.pth"):
        load_network(ARCH, tmp_path / "code.pth")


def test_a_file_that_holds_more_than_tensors_is_refused(network, tmp_path):
    torch.save({"state_dict": network[0].state_dict()}, tmp_path / "nested.pth")
    with pytest.raises(WeightsNotFoundError, match="parameter names and tensors"):
        load_network(ARCH, tmp_path / "nested.pth")


def test_weights_of_another_network_are_refused(published):
    file = next(published.iterdir())
    with pytest.raises(WeightsNotFoundError, match=r"resnet18: .*features\.0\.weight"):
        load_network("resnet18", file)


def test_a_wrong_shape_is_named(network, tmp_path):
    state = dict(network[0].state_dict())
    state["classifier.1.bias"] = torch.zeros(7)
    torch.save(state, tmp_path / "seven.pth")
    with pytest.raises(WeightsNotFoundError, match=r"\(1000,\), got \(7,\)"):
        load_network(ARCH, tmp_path / "seven.pth")


def test_a_missing_parameter_is_named(network, tmp_path):
    state = dict(network[0].state_dict())
    del state["classifier.1.bias"]
    torch.save(state, tmp_path / "short.pth")
    with pytest.raises(WeightsNotFoundError, match=r"'classifier\.1\.bias' is missing"):
        load_network(ARCH, tmp_path / "short.pth")


def test_random_weights_are_seeded(network):
    assert load_network(ARCH, None, random_state=7)[1] == network[1]
    assert load_network(ARCH, None, random_state=8)[1] != network[1]
    assert load_network(ARCH, None)[1] == load_network(ARCH, None, random_state=0)[1]


def test_the_global_generators_are_left_alone():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    load_network(ARCH, None, random_state=3)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_a_network_is_frozen_and_in_evaluation_mode(network):
    assert not network[0].training
    assert not any(p.requires_grad for p in network[0].parameters())


def test_a_file_that_changes_is_another_find(network, tmp_path):
    file = tmp_path / "a.pth"
    torch.save(network[0].state_dict(), file)
    before = find_weights(ARCH, file)
    assert find_weights(ARCH, file) == before
    torch.save(network[0].state_dict() | {"more": torch.zeros(1)}, file)
    assert find_weights(ARCH, file) != before


def test_an_unknown_network_is_refused_with_near_names():
    with pytest.raises(ValueError, match="'vgg61'; did you mean"):
        find_weights("vgg61", None)


def test_a_preset_is_that_of_the_published_weights():
    assert preset("efficientnet_b0").interpolation == "bicubic"
    assert preset("resnet50").resize_size == 232
    assert preset("vgg16").min_size == 32
