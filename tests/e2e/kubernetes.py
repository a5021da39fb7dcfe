"""The cluster as tests see it: kubectl, one namespace per test, and what to print of it when a test fails.

Read first: `Namespace`.
"""

import json
import os
import subprocess
import time
from pathlib import Path

import images

KUBECTL = os.environ.get("KUBECTL", "kubectl")
OWN = "OWN_CLUSTER" in os.environ
SYSTEM = "streamkeeper-system"
# What a pod of the restricted profile must say of itself.
RESTRICTED_POD = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
RESTRICTED_CONTAINER = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}


class Refused(AssertionError):
    """kubectl said no; the text is what it said."""


def kubectl(*arguments, input=None, timeout=120):
    """What kubectl prints; `input`, an object or text, is its standard input."""
    if input is not None and not isinstance(input, str):
        input = json.dumps(input)
    command = [KUBECTL, *map(str, arguments)]
    done = subprocess.run(command, input=input, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout)
    if done.returncode:
        raise Refused(f"kubectl {' '.join(map(str, arguments))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def kube(*arguments, timeout=120):
    """A command of tests/kube: a fault of a machine, say."""
    assert OWN, "only a cluster of tests/kube can be hurt like this"
    subprocess.run([images.KUBE, *map(str, arguments)], check=True, timeout=timeout)


def metrics(namespace, pod, port):
    """What a pod tells at /metrics: names, with labels where there are any, and values."""
    text = kubectl("get", "--raw", f"/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy/metrics")
    samples = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}


def processes(verb, **environment):
    """The processes of our program in the cluster's pods that have this verb and environment: all are seen from the host."""
    assert OWN, "only processes of a cluster of tests/kube are seen from here"
    wanted = {f"{name}={value}".encode() for name, value in environment.items()}
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            if words[1:2] == [verb.encode()] and wanted <= set((process / "environ").read_bytes().split(b"\0")):
                found.append(int(process.name))
        except OSError:
            continue  # It ended meanwhile.
    return found


def eventually(what, seconds, check):
    """Looks until `check` gives something true, and returns that; an error of it is as good as false until the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := check():
                return found
            last = "it is not so"
        except (AssertionError, subprocess.TimeoutExpired) as error:
            last = error
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s: {last}"
        time.sleep(0.5)


class Namespace:
    """One namespace, and what is in it."""

    def __init__(self, name):
        self.name = name

    def create(self):
        labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
        kubectl("create", "-f", "-", input={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": labels}})
        return self

    def delete(self, timeout=120):
        """Deletes it and waits until it is gone, which must not take long."""
        self.leave()
        kubectl("wait", "--for=delete", f"namespace/{self.name}", f"--timeout={timeout}s", timeout=timeout + 10)

    def leave(self):
        """Begins to delete it."""
        kubectl("delete", "namespace", self.name, "--wait=false")

    def kubectl(self, *arguments, **options):
        return kubectl(f"--namespace={self.name}", *arguments, **options)

    def apply(self, manifest):
        """Text of YAML documents, or one object."""
        return self.kubectl("apply", "--server-side", "-f", "-", input=manifest)

    def get(self, resource):
        """`kind/name` as an object, or `kind` as the list of its objects."""
        found = json.loads(self.kubectl("get", resource, "-o", "json"))
        return found["items"] if found["kind"].endswith("List") else found

    def wait(self, resource, condition, timeout=120):
        """As `kubectl wait --for=CONDITION`."""
        self.kubectl("wait", resource, f"--for={condition}", f"--timeout={timeout}s", timeout=timeout + 30)

    def wait_ready(self, ensemble="main", timeout=180):
        """Until the operator says so of the specification of now."""
        self.wait_observed(f"ensemble/{ensemble}", timeout)
        self.wait(f"ensemble/{ensemble}", "condition=Ready", timeout)

    def wait_observed(self, resource, timeout=60):
        def observed():
            found = self.get(resource)
            return found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"]

        eventually(f"{resource} is looked at by the operator", timeout, observed)

    def patch(self, resource, change):
        self.kubectl("patch", resource, "--type=merge", "--patch", json.dumps(change))

    def condition(self, resource, kind):
        """One condition: status, reason, message."""
        found = [c for c in self.get(resource).get("status", {}).get("conditions", []) if c["type"] == kind]
        assert found, f"{resource} has no condition {kind}"
        return found[0]

    def pods(self, ensemble="main"):
        """The agents' pods by name."""
        selector = f"app.kubernetes.io/instance={ensemble},app.kubernetes.io/component=agent"
        found = json.loads(self.kubectl("get", "pods", "-l", selector, "-o", "json"))["items"]
        return {pod["metadata"]["name"]: pod for pod in found}

    def node_of(self, pod):
        return self.get(f"pod/{pod}")["spec"]["nodeName"]

    def client(self, name, *arguments, node=None):
        """Starts a pod that runs one verb of clients/main.py."""
        container = {
            "name": "client",
            "image": images.CLIENTS,
            "args": [str(argument) for argument in arguments],
            "securityContext": RESTRICTED_CONTAINER,
        }
        spec = {"restartPolicy": "Never", "securityContext": RESTRICTED_POD, "containers": [container], "terminationGracePeriodSeconds": 1}
        if node:
            spec["nodeSelector"] = {"kubernetes.io/hostname": node}
        self.kubectl("create", "-f", "-", input={"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})

    def run_client(self, name, *arguments, timeout=120):
        """Runs one verb of clients/main.py in a pod to its end, which must be a good one; gives the last line as an object."""
        self.client(name, *arguments)
        phase = eventually(f"end of the pod {name}", timeout, lambda: self.phase(name) in ("Succeeded", "Failed") and self.phase(name))
        printed = self.kubectl("logs", name)
        assert phase == "Succeeded", f"pod {name}:\n{printed}"
        return json.loads(printed.splitlines()[-1])

    def phase(self, pod):
        return self.get(f"pod/{pod}")["status"].get("phase")

    def describe(self):
        """Everything that explains a failure."""
        parts = [
            ["get", "ensembles,topics,statefulsets,pods,services,persistentvolumeclaims", "-o", "wide"],
            ["get", "ensembles", "-o", "yaml"],
            ["get", "events", "--sort-by=.lastTimestamp"],
            ["logs", "-l", "app.kubernetes.io/component=agent", "--prefix", "--tail=60", "--max-log-requests=20"],
        ]
        for pod in self.get("pods"):
            if any(status.get("restartCount") for status in pod["status"].get("containerStatuses", [])):
                parts.append(["logs", pod["metadata"]["name"], "--previous", "--tail=40"])
        return "\n".join(f"$ kubectl {' '.join(part)}\n{told(lambda: self.kubectl(*part))}" for part in parts)


def told(look):
    """What a look gives, or why it gives nothing: a failure's report goes on."""
    try:
        return look()
    except (AssertionError, subprocess.TimeoutExpired) as error:
        return str(error)
