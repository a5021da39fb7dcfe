"""The cluster as a whole: up, down, and the faults that tests inflict on it.

Read first: `up`, `partition`.
"""

import contextlib
import http.client
import json
import shutil
import ssl
import subprocess
import time
from pathlib import Path

from build import CGROUPS, build, check_host, components
from common import BRIDGE, CLUSTER, CONTROL, HOST, KUBECONFIG, SERVICES, Failure, address, pod_network, run, say, wait_for
from machines import boot, halt, inside, known, machines, nodes, remove_cgroup
from settings import STORAGE_CLASS, write_cluster


def up(count):
    """Starts a new cluster in place of any old one, and prints its KUBECONFIG."""
    check_host()
    build()
    down()
    started = time.monotonic()
    names = [f"n{number}" for number in range(1, count + 1)]
    write_cluster(names)
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "address", "add", f"{HOST}/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    run("ip", "route", "add", SERVICES, "via", CONTROL)
    for name in names:
        run("ip", "route", "add", pod_network(name), "via", address(name))
    boot("control")
    wait_for("API server", 60, api_is_ready)
    say(f"API server after {time.monotonic() - started:.1f} s")
    kubectl("apply", "--filename=-", input=json.dumps(STORAGE_CLASS))
    for name in names:
        boot(name)
    wait_ready(names)
    kubectl("wait", "--for=create", "--timeout=60s", "serviceaccount/default")
    say(f"{count} nodes after {time.monotonic() - started:.1f} s")
    print(KUBECONFIG)


def down():
    """Removes everything that `up` made, whatever state it is in."""
    for name in sorted(machines()):
        halt(name)
    for link in json.loads(run("ip", "-json", "link", "show")):
        if link["ifname"] == BRIDGE or link["ifname"].startswith(f"{BRIDGE}-"):
            subprocess.run(["ip", "link", "delete", link["ifname"]], stderr=subprocess.DEVNULL)
    for cgroup in CGROUPS.glob(f"*/{BRIDGE}"):
        remove_cgroup(cgroup)
    if f" {CLUSTER}/" in Path("/proc/self/mountinfo").read_text():
        raise Failure(f"something is mounted below {CLUSTER}")
    if CLUSTER.exists():
        shutil.rmtree(CLUSTER)


def kubectl(*arguments, **options):
    return run(components() / "kubectl", f"--kubeconfig={KUBECONFIG}", *arguments, **options)


def api_is_ready():
    trust = ssl.create_default_context(cafile=CLUSTER / "pki/ca.crt")
    trust.load_cert_chain(CLUSTER / "pki/admin.crt", CLUSTER / "pki/admin.key")
    connection = http.client.HTTPSConnection(CONTROL, 6443, timeout=5, context=trust)
    with contextlib.suppress(OSError), contextlib.closing(connection) as api:
        api.request("GET", "/readyz")
        return api.getresponse().status == 200


def wait_ready(names):
    for name in names:
        kubectl("wait", "--for=create", "--timeout=60s", f"node/{name}")
    kubectl("wait", "--for=condition=Ready", "--timeout=60s", *(f"node/{name}" for name in names))


def partition(name, peer):
    """Cuts a machine off from all others, or two nodes and their pods from each other."""
    if peer is None:
        run("ip", "link", "set", f"{BRIDGE}-{known(name)}", "down")
        return
    for here, there in ((name, peer), (peer, name)):
        rules = f"""
            table ip without_{there} {{
                chain arriving {{
                    type filter hook prerouting priority raw
                    ip saddr {{ {address(there)}, {pod_network(there)} }} drop
                }}
            }}"""
        run(*inside(here), "nft", "--file", "-", input=rules)


def heal(name):
    """Ends every partition of a machine."""
    run("ip", "link", "set", f"{BRIDGE}-{known(name)}", "up")
    for here, there in [pair for peer in nodes() for pair in ((name, peer), (peer, name))]:
        run(*inside(here), "nft", f"add table ip without_{there}; delete table ip without_{there}")


def start(name):
    """Starts a stopped machine again, with the disk that it had."""
    if known(name) in machines():
        return
    boot(name)
    if name == "control":
        wait_for("API server", 60, api_is_ready)
    else:
        wait_ready([name])


def logs(wanted):
    """Prints the logs of one component, or the names of all."""
    for file in sorted(CLUSTER.glob("machines/*/log/*.log")):
        name = f"{file.parts[-3]}/{file.stem}"
        if not wanted:
            print(name)
        elif wanted in (name, file.stem):
            for line in file.open(errors="replace"):
                print(f"{name}: {line}", end="")
