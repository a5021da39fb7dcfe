"""Compiles Kubernetes' components from their Go modules into the cache, and says what this host lacks to run them.

Read first: `build`, `check_host`.
"""

import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from common import CACHE, CLUSTER, HERE, Failure, run, say
from image import write_image

SOURCES = HERE / "components"
COMPONENTS = "kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl etcd coredns local-pv".split()
PACKAGES = (
    "containerd runc containernetworking-plugins conntrack nftables iptables iproute2 openssl ca-certificates gcc libc6-dev".split()
)
PROGRAMS = "containerd runc ctr ip nft conntrack unshare nsenter openssl".split()
CGROUPS = Path("/sys/fs/cgroup")
HIERARCHIES = "cpu cpuacct cpuset memory devices freezer blkio pids systemd".split()
# The process that holds a pod's namespaces.
PAUSE = "localhost/pause:1"


@functools.cache
def go():
    """Go, brought if there is none that is new enough."""
    return f"{run(HERE.parent / 'go').strip()}/go"


def components():
    """The directory of the built programs that belong to the present sources."""
    digest = hashlib.sha256(run(go(), "version").encode())
    for file in sorted([*SOURCES.glob("*.go"), SOURCES / "go.mod", SOURCES / "go.sum", SOURCES / "pause/pause.c"]):
        digest.update(file.read_bytes())
    return CACHE / f"components-{digest.hexdigest()[:16]}"


def build():
    """Compiles the components, unless that was done: about ten minutes of CPU at first."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Another `kube` may be at it.
        done = components()
        if not done.is_dir():
            compile_into(done)
    return done


def compile_into(done):
    started = time.monotonic()
    version = re.search(r"k8s\.io/kubernetes v((\d+)\.(\d+)\.\d+)", (SOURCES / "go.mod").read_text())
    stamp = {
        "gitVersion": f"v{version[1]}",
        "gitMajor": version[2],
        "gitMinor": version[3],
        "gitTreeState": "clean",
        "gitCommit": "none",
        "buildDate": "1970-01-01T00:00:00Z",
    }
    flags = " ".join(f"-X k8s.io/component-base/version.{key}={value}" for key, value in stamp.items())
    say(f"compiling Kubernetes {version[1]}; the first time this takes minutes")
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        work = Path(scratch) / "components"
        work.mkdir()
        environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
        program = work / "all"
        run(go(), "build", "-trimpath", "-buildvcs=false", f"-ldflags=-s -w {flags}", "-o", program, ".", cwd=SOURCES, env=environment)
        for component in COMPONENTS:
            (work / component).symlink_to(program.name)
        run("gcc", "-static", "-Os", "-s", "-o", work / "pause", SOURCES / "pause/pause.c")
        write_image([PAUSE], work / "pause", work / "pause.tar")
        for old in CACHE.glob("components-*"):
            shutil.rmtree(old)
        work.rename(done)
    say(f"compiled in {time.monotonic() - started:.0f} s")


def install_packages():
    """Installs the Debian packages that the other commands need and that are not there."""
    listing = subprocess.run(
        ["dpkg-query", "-Wf", "${Package} ${db:Status-Status}\n", *PACKAGES], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ).stdout.splitlines()
    missing = [package for package in PACKAGES if f"{package} installed" not in listing]
    if missing:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run("apt-get", "update", env=environment)
        run("apt-get", "install", "--yes", "--no-install-recommends", *missing, env=environment)


def check_host():
    """Says everything that is missing on this host, before anything is changed."""
    missing = []
    if os.geteuid():
        missing.append("it needs root")
    if absent := [program for program in PROGRAMS if not shutil.which(program)]:
        missing.append(f"programs {', '.join(absent)}: `kube deps` installs them")
    if not shutil.which("gcc"):
        missing.append("a C compiler, gcc")
    if absent := [name for name in HIERARCHIES if not (CGROUPS / name / "cgroup.procs").exists()]:
        missing.append(f"cgroup v1 hierarchies {', '.join(absent)} under {CGROUPS}")
    if "\toverlay\n" not in Path("/proc/filesystems").read_text():
        missing.append("the overlay file system")
    if any(CLUSTER.is_relative_to(covered) for covered in ("/var/lib", "/var/log", "/run")):
        missing.append(f"a cache that machines can see: {CLUSTER} lies where each has directories of its own; set STREAMKEEPER_CACHE")
    if not missing and (problem := try_namespaces()):
        missing.append(f"namespaces with mounts, veth and nftables: {problem}")
    if missing:
        raise Failure("this host lacks:\n  - " + "\n  - ".join(missing))


def try_namespaces():
    """What stands in the way of a machine of our own; empty if nothing does."""
    probe = "mount -t tmpfs probe /run && ip link add probe type veth && nft add table ip probe"
    tried = subprocess.run(
        ["unshare", "--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--mount-proc", "sh", "-c", probe],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return tried.stdout.strip() or f"exit {tried.returncode}" if tried.returncode else ""
