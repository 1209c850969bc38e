"""A user's own joblib files are loaded silently; those of others take trust."""

import json
import secrets
import stat
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import joblib
import pytest

import featad
from featad import _locks, seals
from featad.cli import main
from featad.errors import ModelFileError
from featad.model_records import manifest_path

DIGEST = "a" * 64


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Return a function that makes this the account of another user."""

    def move(name="other"):
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / name))

    return move


@pytest.fixture
def model(elsewhere, tmp_path):
    elsewhere("own")
    path = tmp_path / "m.joblib"
    featad.save(featad.KMeansDistance(1).fit([[0.0], [1.0]]), path)
    return path


def test_an_own_file_is_loaded_silently(model):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        featad.load(model)
        featad.load(model, trust=False)


def test_a_file_of_others_is_a_warning_in_python(model, elsewhere):
    elsewhere()
    with pytest.warns(UserWarning, match="can run any code when it is loaded"):
        featad.load(model)


def test_a_file_of_others_can_be_refused_before_it_is_unpickled(
    tmp_path, elsewhere, monkeypatch
):
    elsewhere()
    joblib.dump({}, tmp_path / "m.joblib")
    monkeypatch.setattr(joblib, "load", lambda *_: pytest.fail("it was unpickled"))
    with (
        pytest.warns(UserWarning, match="was not checked"),
        pytest.raises(ModelFileError, match="was not written by this user"),
    ):
        featad.load(tmp_path / "m.joblib", trust=False)


def test_trust_is_silent(model, elsewhere):
    elsewhere()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        featad.load(model, trust=True)


def test_a_seal_belongs_to_one_file(model):
    manifest = json.loads(manifest_path(model).read_text())
    assert seals.is_sealed(manifest["sha256"], manifest["seal"])
    assert not seals.is_sealed(DIGEST, manifest["seal"])
    assert not seals.is_sealed(DIGEST, None)
    assert not seals.is_sealed(DIGEST, "é")


def test_the_key_is_for_its_owner_alone(model):
    assert stat.S_IMODE(seals.key_path().stat().st_mode) == 0o600


def test_of_two_first_saves_at_once_both_have_the_one_key(elsewhere, monkeypatch):
    elsewhere("new")
    begun, new_key = threading.Event(), secrets.token_hex

    def slow(n):
        begun.set()
        time.sleep(0.2)
        return new_key(n)

    monkeypatch.setattr(secrets, "token_hex", slow)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(seals.seal, DIGEST)
        assert begun.wait(10)
        own = seals.seal(DIGEST)
    assert own == other.result()
    assert seals.is_sealed(DIGEST, own)


@pytest.mark.parametrize("rest", ["", "abc"])
def test_a_key_cut_short_is_made_anew(rest, elsewhere):
    elsewhere("new")
    seals.key_path().parent.mkdir(parents=True)
    seals.key_path().write_text(rest)
    assert not seals.is_sealed(DIGEST, "a")
    assert seals.key_path().read_text() == rest
    assert seals.is_sealed(DIGEST, seals.seal(DIGEST))
    assert stat.S_IMODE(seals.key_path().stat().st_mode) == 0o600


def test_a_key_is_made_where_there_are_no_locks(elsewhere, monkeypatch):
    elsewhere("new")
    monkeypatch.setattr(_locks, "_is_granted", lambda _: False)
    with pytest.warns(UserWarning, match="not kept apart"):
        assert seals.is_sealed(DIGEST, seals.seal(DIGEST))


def test_a_model_is_saved_where_no_key_can_be_kept(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    detector = featad.KMeansDistance(1).fit([[0.0], [1.0]])
    assert featad.save(detector, tmp_path / "m.joblib")["seal"] is None
    with pytest.warns(UserWarning, match="was not written by this user"):
        featad.load(tmp_path / "m.joblib")


def test_the_command_line_asks_for_trust(
    plates, tmp_path, elsewhere, capsys, monkeypatch
):
    elsewhere()
    command = ["score", str(plates / "model.joblib"), str(plates / "odd" / "odd00.png")]
    assert main(command) == 1
    said = capsys.readouterr().err
    assert "can run any code when it is loaded" in said
    assert "pass --trust; else ask for a .featad or .skops file" in said
    assert main([*command, "--trust"]) == 0


def test_a_skops_file_of_others_may_not_name_our_files(tmp_path, elsewhere, images):
    pytest.importorskip("skops")
    import torch

    from featad.features.weights import load_network

    elsewhere("own")
    file, path = tmp_path / "w.pth", tmp_path / "m.skops"
    torch.save(load_network("squeezenet1_1", None, 1)[0].state_dict(), file)
    options = {"image_size": 32, "layer": "features.1", "preprocessing": "imagenet"}
    system = featad.build("squeezenet1_1-knn", weights=file, **options)
    featad.save(system.fit(images), path)
    assert featad.load(path).predict
    elsewhere()
    with pytest.raises(ModelFileError, match=r"names the file of weights .*w\.pth"):
        featad.load(path)
    assert featad.load(path, weights=file).predict
    assert featad.load(path, trust=True).predict
