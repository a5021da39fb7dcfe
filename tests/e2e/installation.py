"""Installs the operator of this version by its chart, and removes it.

Read first: `install`.
"""

import os
import subprocess

import images
from kubernetes import SYSTEM, kubectl

RELEASE = "streamkeeper"
CHART = images.ROOT / "charts/streamkeeper"
NAMESPACE = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": SYSTEM, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
}


def install():
    """From nothing: definitions, rights, operator; it runs when this returns."""
    uninstall()  # An earlier run may have ended before its own: the same image name would go on with the earlier program.
    kubectl("apply", "--server-side", "-f", "-", input=NAMESPACE)
    # Definitions outlive a release, and may have been there before the first one.
    print(release(RELEASE, "--take-ownership"))


def release(name, *arguments, **values):
    """A release of the chart with this version's image and these values, in which underscores stand for dots."""
    repository, _, tag = images.STREAMKEEPER.rpartition(":")
    values |= {"image_registry": "", "image_repository": repository, "image_tag": tag}
    chosen = [f"--set={key.replace('_', '.')}={value}" for key, value in values.items()]
    return helm("install", name, CHART, *chosen, *arguments, "--wait", "--timeout=120s")


def uninstall(name=RELEASE):
    helm("uninstall", name, "--ignore-not-found", "--wait", "--timeout=60s")


def helm(*arguments):
    """What Helm prints, in the operator's namespace; Helm's own files are kept among the tests'."""
    homes = {f"HELM_{kind}_HOME": str(images.SCRATCH / f"helm-{kind.lower()}") for kind in ("CACHE", "CONFIG", "DATA")}
    command = [os.environ["HELM"], f"--namespace={SYSTEM}", *map(str, arguments)]
    done = subprocess.run(command, env=os.environ | homes, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=200)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout
