"""Packs programs and directories into image archives, without a container engine.

Read first: `write_image`. Must not know: the cluster.
"""

import hashlib
import io
import json
import platform
import re
import subprocess
import tarfile
import tempfile
from pathlib import Path

from common import Failure, run

# Where OpenSSL and most Rust programs look, and where Debian keeps it.
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def write_image(names, source, target, entrypoint=(), user="", expose=(), env=(), add=()):
    """Writes an archive of one layer that belongs to root, and returns its size in bytes.

    `source`: a directory, which becomes the root, or a program, which comes with the libraries that it loads. `names`: all full and
    with a tag, `localhost/app:test`. `add`: pairs of a path in the image and a file here.
    """
    source = Path(source)
    if not source.exists():
        raise Failure(f"{source} is not there; nothing to pack")
    if source.is_dir():
        files = {".": source}
    else:
        files = {source.name: source} | {str(library).lstrip("/"): library.resolve() for library in libraries(source)}
        entrypoint = entrypoint or [f"/{source.name}"]
    if not entrypoint:
        raise Failure("an image from a directory needs --entrypoint")
    files |= {str(inside).lstrip("/"): Path(file) for inside, file in add}

    with tempfile.TemporaryFile() as layer:
        with tarfile.open(fileobj=layer, mode="w") as archive:
            for inside, file in files.items():
                archive.add(file, inside, filter=owned_by_root)
        write_archive(target, names, layer, {"Entrypoint": list(entrypoint), "User": user, "Env": list(env),
                                             "ExposedPorts": {f"{port}/tcp": {} for port in expose}})
    return Path(target).stat().st_size


def write_archive(target, names, layer, settings):
    """One layer and its settings, in the form that `ctr images import` and `docker load` read."""
    digest = digest_of(layer)
    config = json.dumps({
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()],
        "os": "linux",
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }).encode()
    config_file, layer_file = f"{hashlib.sha256(config).hexdigest()}.json", f"{digest}.tar"
    manifest = json.dumps([{"Config": config_file, "RepoTags": list(names), "Layers": [layer_file]}]).encode()
    with tarfile.open(target, "w") as archive:
        for file, content in ((config_file, io.BytesIO(config)), (layer_file, layer), ("manifest.json", io.BytesIO(manifest))):
            member = tarfile.TarInfo(file)
            member.size = content.seek(0, io.SEEK_END)
            content.seek(0)
            archive.addfile(member, content)


def digest_of(content):
    digest = hashlib.sha256()
    content.seek(0)
    while block := content.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def owned_by_root(member):
    """The same files give the same image, whoever made them and when."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


def libraries(program):
    """The shared libraries, and the loader, of a dynamically linked program; none of a static one."""
    listing = subprocess.run(["ldd", str(program)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    if absent := re.findall(r"^\s+(\S+) => not found", listing, re.MULTILINE):
        raise Failure(f"{program} needs libraries that are not here: {', '.join(absent)}")
    return [Path(path) for path in re.findall(r"(?:=> |^\s+)(/\S+) \(0x", listing, re.MULTILINE)]


def stripped(program, directory):
    """A copy without debugging symbols, which are nine tenths of a debug build."""
    copy = Path(directory) / Path(program).name
    run("strip", "--strip-debug", "-o", copy, program)
    return copy
