"""Where the cluster and its programs are, its addresses, and what every part needs to run commands.

Must not know: how anything is built, started or stopped.
"""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Where Debian's network tools are, which a bare shell does not look for.
os.environ["PATH"] += ":/usr/sbin:/sbin"
_HOME = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
CACHE = (Path(os.environ.get("STREAMKEEPER_CACHE") or _HOME / "streamkeeper") / "kube").absolute()
CLUSTER = CACHE / "cluster"
KUBECONFIG = CLUSTER / "pki/admin.kubeconfig"

# Also the first part of every interface's name, and the name of the cgroup.
BRIDGE = "kube"
HOST, CONTROL = "172.30.0.1", "172.30.0.2"
PODS, SERVICES, KUBERNETES_SERVICE = "10.244.0.0/16", "10.96.0.0/16", "10.96.0.1"


class Failure(Exception):
    """Something the person at the terminal has to know, and nothing else."""


def say(text):
    print(f"kube: {text}", file=sys.stderr, flush=True)


def run(*command, **options):
    """Runs a command and returns what it printed; its errors become ours."""
    words = [str(word) for word in command]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    if done.returncode:
        raise Failure(f"{shlex.join(words)} failed ({done.returncode}):\n{done.stderr.strip()}")
    return done.stdout


def wait_for(what, seconds, check):
    """Looks until `check` gives something true, and returns that."""
    deadline = time.monotonic() + seconds
    while not (result := check()):
        if time.monotonic() > deadline:
            raise Failure(f"{what}: not within {seconds} s; see `kube logs`")
        time.sleep(0.1)
    return result


def address(machine):
    return CONTROL if machine == "control" else f"172.30.0.{10 + int(machine[1:])}"


def pod_network(node):
    return f"10.244.{int(node[1:])}.0/24"
