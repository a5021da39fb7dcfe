"""Machines: nodes and the control plane's, each a set of namespaces on the bridge.

The process table is the only record of which machines run: a machine is the `unshare` process that holds its namespaces and dies
together with them. Read first: `boot`, `halt`, `inside`.
"""

import contextlib
import os
import signal
import subprocess
from pathlib import Path

from build import CGROUPS, HIERARCHIES, components
from common import BRIDGE, CLUSTER, HERE, SERVICES, Failure, address, pod_network, run, wait_for


def machines():
    """Process numbers of the running machines, by name."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = entry.read_bytes().decode(errors="replace").split("\0")
            if words[0] == "unshare" and "kube-machine" in words:
                found[words[words.index("kube-machine") + 1]] = int(entry.parent.name)
    return found


def nodes():
    """Names of the running nodes."""
    return sorted((name for name in machines() if name != "control"), key=lambda name: int(name[1:]))


def known(name):
    if not (CLUSTER / "machines" / name).is_dir():
        raise Failure(f"there is no machine {name!r}")
    return name


def inside(name):
    """The start of a command line that runs the rest of it in a machine."""
    pid = machines().get(name)
    if pid is None:
        raise Failure(f"machine {name!r} is not running")
    return ["nsenter", f"--target={pid}", "--mount", "--net", "--uts", "--ipc", f"--pid=/proc/{pid}/ns/pid_for_children"]


def boot(name):
    """Starts a machine and plugs it into the bridge."""
    for hierarchy in HIERARCHIES:
        make_cgroup(CGROUPS / hierarchy / BRIDGE / name)
    machine = CLUSTER / "machines" / name
    others = [path.name for path in (CLUSTER / "machines").iterdir() if path.name not in (name, "control")]
    environment = {
        "PATH": f"{components()}:{os.environ['PATH']}",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "CLUSTER": str(CLUSTER),
        "MACHINE": str(machine),
        "NAME": name,
        "SERVICES": SERVICES,
        "ADDRESS": address(name),
        "ROUTES": "\n".join(f"{pod_network(other)} via {address(other)}" for other in others),
    }
    namespaces = ["--mount", "--net", "--uts", "--ipc", "--pid"]
    with open(machine / "log/machine.log", "ab") as log:
        process = subprocess.Popen(
            ["unshare", *namespaces, "--fork", "--kill-child", "--mount-proc", "bash", str(HERE / "machine.sh"), "kube-machine", name],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    own = os.stat("/proc/self/ns/net").st_ino
    wait_for(f"network of {name}", 10, lambda: os.stat(f"/proc/{process.pid}/ns/net").st_ino != own)
    # The same hardware address after a restart, for the peers that remember it.
    hardware = "02:00:" + ":".join(f"{int(part):02x}" for part in address(name).split("."))
    interface = f"{BRIDGE}-{name}"
    run("ip", "link", "add", interface, "master", BRIDGE, "type", "veth",
        "peer", "name", "eth0", "address", hardware, "netns", process.pid)  # fmt: skip
    run("ip", "link", "set", interface, "up")


def halt(name):
    """Ends a machine as a loss of power would: at once, and without a word to its peers."""
    subprocess.run(["ip", "link", "delete", f"{BRIDGE}-{name}"], stderr=subprocess.DEVNULL)
    if pid := machines().get(name):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(pid, signal.SIGKILL)
        for process in (pid, *map(int, children)):
            wait_for(f"end of {name}", 60, lambda: ended(process))
    for cgroup in CGROUPS.glob(f"*/{BRIDGE}/{name}"):
        remove_cgroup(cgroup)


def ended(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def load(archives):
    """Imports image archives into every node."""
    if not nodes():
        raise Failure("no node is running")
    for archive in archives:
        imports = []
        for node in nodes():
            command = [*inside(node), "ctr", "--namespace=k8s.io", "images", "import", "-"]
            with open(archive, "rb") as content:
                imports.append(subprocess.Popen(command, stdin=content, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
        # All of them are waited for before one's failure is told.
        errors = [(node_import.communicate()[1], node_import.returncode) for node_import in imports]
        if failed := [error.strip() for error, code in errors if code]:
            raise Failure(f"import of {archive} failed:\n" + "\n".join(failed))


def make_cgroup(path):
    """A cgroup that processes may enter: in cpuset it starts with neither CPUs nor memory."""
    for part in (path.parent, path):
        part.mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (part / setting).exists():
                (part / setting).write_text((part.parent / setting).read_text())


def remove_cgroup(top):
    for path, _, _ in os.walk(top, topdown=False):
        wait_for(f"cgroup {path} to empty", 10, lambda: removed(path))


def removed(path):
    with contextlib.suppress(OSError):
        os.rmdir(path)
    return not os.path.exists(path)
