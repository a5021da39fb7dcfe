"""The image: one binary for both roles, the libraries that it loads, the certificates that it trusts, and nothing else."""

import json
import tarfile

import pytest

import images
from kubernetes import OWN


@pytest.mark.skipif(not OWN, reason="the image under test is the caller's (STREAMKEEPER_IMAGE)")
def test_there_is_nothing_in_it_but_what_it_needs(loaded, figures):
    path = images.SCRATCH / "streamkeeper.tar"
    with tarfile.open(path) as archive:
        (manifest,) = json.load(archive.extractfile("manifest.json"))
        config = json.load(archive.extractfile(manifest["Config"]))["config"]
        (layer,) = manifest["Layers"]
        with tarfile.open(fileobj=archive.extractfile(layer)) as files:
            members = files.getmembers()
    assert (config["User"], config["Entrypoint"]) == ("65532:65532", ["/streamkeeper"])
    names = {member.name for member in members}
    assert {"streamkeeper", "etc/ssl/certs/ca-certificates.crt"} <= names
    others = names - {"streamkeeper", "etc/ssl/certs/ca-certificates.crt"}
    assert all(name.startswith(("lib/", "lib64/", "usr/lib")) and ".so" in name for name in others) and len(others) < 8, others
    assert all((member.uid, member.gid, member.mtime) == (0, 0, 0) for member in members)
    figures.append(f"image: {path.stat().st_size / 1e6:.1f} MB, {len(others)} shared libraries")
