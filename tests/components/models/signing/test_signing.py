"""Signatures of models: what they cover, what they refuse, and that others read them."""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from certificates import Authority, write_key

from tfx_loop.core.errors import ConfigError, ModelError
from tfx_loop.models.signing import verification
from tfx_loop.models.signing.signer import Signer, Trust, sign_model
from tfx_loop.pipelines.cli.main import main

# The reference implementation, in an environment of its own: it would replace packages of ours.
MODEL_SIGNING = os.environ.get("MODEL_SIGNING", "model_signing")


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    for name in ("key", "other"):
        write_key(folder / f"{name}.key")
    return folder


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def model(tmp_path):
    """A folder with what folders of models have: empty folders, hidden files, names that sort."""
    folder = tmp_path / "model"
    for name in ("saved_model.pb", "variables/v.index", ".gitattributes", "a.b", "a/c", "ä/日"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "assets").mkdir()
    return folder


@pytest.fixture
def trust(keys):
    return Trust.read(keys / "key.pub")


@pytest.fixture
def signed(model, keys):
    sign_model(model, Signer.read(keys / "key.key"))
    return model


def test_a_signed_model_verifies_and_may_move(signed, trust, tmp_path):
    assert trust.check(signed).startswith("key ")
    shutil.move(signed, tmp_path / "elsewhere")
    assert trust.check(tmp_path / "elsewhere")


def test_a_single_file_has_its_signature_beside_it(tmp_path, keys, trust):
    file = tmp_path / "m.tflite"
    file.write_bytes(b"content")
    assert sign_model(file, Signer.read(keys / "key.key")) == tmp_path / "m.tflite.sig"
    assert trust.check(file)
    file.write_bytes(b"Content")
    with pytest.raises(ModelError, match="was changed"):
        trust.check(file)


def remove_signature(folder):
    (folder / "model.sig").unlink()


def link_signature(folder):
    shutil.move(folder / "model.sig", folder.parent / "model.sig")
    (folder / "model.sig").symlink_to(folder.parent / "model.sig")


def link_file(folder):
    shutil.move(folder / "a.b", folder.parent / "a.b")
    (folder / "a.b").symlink_to(folder.parent / "a.b")


def link_folder(folder):
    shutil.move(folder / "variables", folder.parent / "variables")
    (folder / "variables").symlink_to(folder.parent / "variables")


def swap(folder):
    (folder / "a.b").rename(folder / "x")
    (folder / "a" / "c").rename(folder / "a.b")
    (folder / "x").rename(folder / "a" / "c")


CHANGES = {
    "unsigned": (remove_signature, "found none"),
    "linked_signature": (link_signature, "found none"),
    "linked_file": (link_file, "link or device"),
    "linked_folder": (link_folder, "link or device"),
    "pipe": (lambda f: os.mkfifo(f / "pipe"), "link or device"),
    "changed": (lambda f: (f / "saved_model.pb").write_text("saved_model.pB"), "was changed"),
    "emptied": (lambda f: (f / "saved_model.pb").write_text(""), "was changed"),
    "swapped": (swap, "was changed"),
    "removed": (lambda f: (f / "a.b").unlink(), "a.b is missing"),
    "renamed": (lambda f: (f / "a.b").rename(f / "a.d"), "a.d was added"),
    "added": (lambda f: (f / "variables/w").write_text(""), "variables/w was added"),
    "added_git": (lambda f: (f / ".gitignore").write_text(""), ".gitignore was added"),
    "added_git_folder": (lambda f: (f / ".git").mkdir(), ".git was added"),
    "added_below_git": (
        lambda f: ((f / ".github").mkdir(), (f / ".github/x").write_text("")),
        ".github/x was added",
    ),
    "added_empty_folder": (lambda f: (f / "variables/e").mkdir(), "variables/e was added"),
    "added_signature_below": (lambda f: (f / "a/model.sig").write_text(""), "a/model.sig was"),
    "removed_empty_folder": (lambda f: (f / "assets").rmdir(), "assets is missing"),
    "filled_empty_folder": (lambda f: (f / "assets/x").write_text(""), "assets/x was added"),
    "file_for_empty_folder": (
        lambda f: ((f / "assets").rmdir(), (f / "assets").write_text("")),
        "assets was changed",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_after_signing_is_refused(signed, trust, change):
    make, message = CHANGES[change]
    make(signed)
    with pytest.raises(ModelError, match=message) as caught:
        trust.check(signed)
    assert "\n" not in str(caught.value)


def test_a_link_is_not_signed(model, keys):
    (model / "link").symlink_to("/etc/hostname")
    with pytest.raises(ModelError, match="link or device"):
        sign_model(model, Signer.read(keys / "key.key"))


def test_another_key_is_not_believed(signed, keys, authority):
    for other in (keys / "other.pub", authority.certificate):
        with pytest.raises(ModelError, match="another's"):
            Trust.read(other).check(signed)


def test_one_of_several_keys_is_enough(signed, keys, tmp_path):
    both = tmp_path / "both.pem"
    both.write_bytes((keys / "other.pub").read_bytes() + (keys / "key.pub").read_bytes())
    assert Trust.read(both).check(signed)


def altered(bundle, **changes):
    """Returns the bundle of a statement that nobody signed."""
    envelope = bundle["dsseEnvelope"]
    statement = json.loads(base64.b64decode(envelope["payload"]))
    statement["predicate"].update(changes)
    payload = base64.b64encode(json.dumps(statement).encode()).decode()
    return {**bundle, "dsseEnvelope": {**envelope, "payload": payload}}


@pytest.mark.parametrize(
    "make",
    [
        lambda b: altered(b, resources=[]),
        lambda b: {**b, "mediaType": "x"},
        lambda b: {**b, "dsseEnvelope": {**b["dsseEnvelope"], "payloadType": "x"}},
        lambda b: {**b, "dsseEnvelope": {**b["dsseEnvelope"], "signatures": []}},
        lambda b: {**b, "dsseEnvelope": {**b["dsseEnvelope"], "payload": "%"}},
        lambda b: {**b, "dsseEnvelope": {**b["dsseEnvelope"], "signatures": [{"sig": ""}]}},
        lambda b: {**b, "verificationMaterial": {"tlogEntries": []}},
        lambda b: {**b, "verificationMaterial": {"x509CertificateChain": {"certificates": []}}},
        lambda b: {
            **b,
            "verificationMaterial": {"x509CertificateChain": {"certificates": [{"rawBytes": "x"}]}},
        },
        lambda b: {**b, "verificationMaterial": None},
        lambda b: [],
        lambda b: 3,
        lambda b: {},
    ],
)
def test_a_bundle_that_is_none_is_one_line(signed, trust, make):
    path = signed / "model.sig"
    path.write_text(json.dumps(make(json.loads(path.read_bytes()))))
    with pytest.raises(ModelError) as caught:
        trust.check(signed)
    assert "\n" not in str(caught.value)


def test_a_signature_of_something_else_is_none_of_a_model(signed, trust, keys):
    statement = {"_type": verification.STATEMENT_TYPE, "predicateType": "x", "predicate": {}}
    payload = json.dumps(statement).encode()
    made = Signer.read(keys / "key.key").sign(verification.authenticated(payload))
    bundle = json.loads((signed / "model.sig").read_bytes())
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    bundle["dsseEnvelope"]["signatures"] = [{"sig": base64.b64encode(made).decode()}]
    (signed / "model.sig").write_text(json.dumps(bundle))
    with pytest.raises(ModelError, match="SHA-256 digests of files"):
        trust.check(signed)


def test_a_certificate_of_the_authority_is_believed(model, authority, tmp_path):
    issued = authority.issue("signer", "signer")
    sign_model(model, Signer.read(issued.key, issued.certificate))
    assert Trust.read(authority.certificate).check(model) == "certificate CN=signer"
    assert Trust.read(issued.certificate).check(model)
    with pytest.raises(ModelError, match="trusted authority"):
        Trust.read(Authority(tmp_path / "other").certificate).check(model)


@pytest.mark.parametrize(("kind", "days"), [("signer", -1), ("server", 5)])
def test_a_certificate_for_something_else_or_over_is_not_believed(model, authority, kind, days):
    issued = authority.issue(f"{kind}{days}", kind, days=days)
    sign_model(model, Signer.read(issued.key, issued.certificate))
    with pytest.raises(ModelError, match="trusted authority"):
        Trust.read(authority.certificate).check(model)


def test_a_certificate_that_was_issued_by_no_authority_is_not_believed(model, authority):
    """Whoever holds a certificate to sign models with cannot issue others with it."""
    issued = authority.issue("middle", "signer")
    below = Authority(authority.folder / "below", "below")
    forged = below.issue("forged", "signer")
    chain = authority.folder / "chain.pem"
    chain.write_bytes(forged.certificate.read_bytes() + issued.certificate.read_bytes())
    sign_model(model, Signer.read(forged.key, chain))
    with pytest.raises(ModelError, match="trusted authority"):
        Trust.read(authority.certificate).check(model)


def test_files_that_are_no_keys_are_refused_without_showing_them(keys, authority, tmp_path):
    secret = (keys / "key.key").read_bytes()
    (tmp_path / "none").write_text("no key")
    for read in (
        lambda: Trust.read(tmp_path / "absent"),
        lambda: Trust.read(tmp_path / "none"),
        lambda: Trust.read(keys / "key.key"),
        lambda: Signer.read(tmp_path / "none"),
        lambda: Signer.read(keys / "key.pub"),
        lambda: Signer.read(keys / "key.key", tmp_path / "none"),
        lambda: Signer.read(keys / "key.key", authority.certificate),
    ):
        with pytest.raises(ConfigError) as caught:
            read()
        assert secret.splitlines()[1].decode() not in str(caught.value)


def test_the_commands_sign_and_verify(model, keys, capsys):
    assert main(["sign", str(model), f"--key={keys / 'key.key'}"]) == 0
    assert main(["verify", str(model), f"--public-key={keys / 'key.pub'}", "--json"]) == 0
    assert '"signed_by": "key ' in capsys.readouterr().out
    (model / "a.b").write_text("changed")
    assert main(["verify", str(model), f"--public-key={keys / 'key.pub'}"]) == 1
    shown = capsys.readouterr().err
    assert "a.b was changed" in shown
    assert shown.count("\n") == 1


def model_signing(*arguments):
    return subprocess.run([MODEL_SIGNING, *map(str, arguments)], capture_output=True, text=True)


@pytest.mark.skipif(shutil.which(MODEL_SIGNING) is None, reason="needs model-signing from PyPI")
@pytest.mark.parametrize("kind", ["key", "certificate"])
@pytest.mark.parametrize("form", ["folder", "file"])
def test_model_signing_verifies_ours_and_we_theirs(model, keys, authority, tmp_path, kind, form):
    """With MODEL_SIGNING naming the command in an environment of its own."""
    issued = authority.issue("signer", "signer")
    if form == "file":
        model = model / "saved_model.pb"
    if kind == "key":
        signer, trusted = Signer.read(keys / "key.key"), keys / "key.pub"
        to_verify = ["--public_key", trusted]
        to_sign = ["--private_key", keys / "key.key"]
    else:
        signer, trusted = Signer.read(issued.key, issued.certificate), authority.certificate
        to_verify = ["--certificate_chain", trusted]
        to_sign = ["--private_key", issued.key, "--signing_certificate", issued.certificate]
        to_sign += ["--certificate_chain", trusted]
    git = ["--no-ignore-git-paths"]
    ours = sign_model(model, signer)
    done = model_signing("verify", kind, model, "--signature", ours, *to_verify, *git)
    assert done.returncode == 0, done.stdout + done.stderr
    ours.unlink()
    if form == "folder":
        # The package does not sign empty folders, so none may be there.
        (model / "assets").rmdir()
    theirs = tmp_path / "theirs.sig"
    done = model_signing("sign", kind, model, "--signature", theirs, *to_sign, *git)
    assert done.returncode == 0, done.stdout + done.stderr
    assert Trust.read(trusted).check(model, theirs)


def test_the_file_for_devices_holds_the_same_check():
    code = Path(verification.__file__).read_text()
    on_device = Path(verification.__file__).parents[2] / "edge/edge_bundle/on_device.py"
    assert code[code.index("SIGNATURE = ") :].rstrip() in on_device.read_text()
