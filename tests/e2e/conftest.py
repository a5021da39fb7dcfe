import itertools
import os
import subprocess

import pytest

import images
import installation
from kubernetes import OWN, SYSTEM, Namespace, kubectl, told
from loading import Load

NUMBERS = itertools.count(1)
# Namespaces whose deletion began.
LEFT = []
FIGURES = []


@pytest.fixture(scope="session")
def cluster():
    """A cluster for all tests: the caller's, or one that is made and removed here."""
    made = "KUBECONFIG" not in os.environ
    if made:
        printed = subprocess.run([images.KUBE, "up"], check=True, stdout=subprocess.PIPE, text=True, timeout=300).stdout
        os.environ["KUBECONFIG"] = printed.strip()
    yield
    if made:
        subprocess.run([images.KUBE, "down"], check=True, timeout=120)


@pytest.fixture(scope="session")
def loaded(cluster):
    """Every node has the images."""
    if OWN:
        for archive in (images.streamkeeper(), images.clients()):
            subprocess.run([images.KUBE, "load", archive], check=True, timeout=300)


@pytest.fixture(scope="session")
def operator(loaded):
    """The definitions are there and the operator runs."""
    try:
        installation.install()
        yield
        # With the operator each deletion comes to its end; without it nothing would release what a finalizer holds.
        for namespace in LEFT:
            kubectl("wait", "--for=delete", f"namespace/{namespace.name}", "--timeout=120s", timeout=150)
    finally:
        installation.uninstall()


@pytest.fixture
def namespace(cluster, request):
    """One of the test's own, in which nothing but restricted pods may run."""
    made = Namespace(f"e2e-{os.getpid()}-{next(NUMBERS)}").create()
    request.node.namespace = made
    yield made
    made.leave()
    LEFT.append(made)


@pytest.fixture
def quickstart(operator, namespace):
    """examples/quickstart.yaml, ready, in a namespace of the test's own."""
    namespace.apply((images.ROOT / "examples/quickstart.yaml").read_text())
    namespace.wait_ready()
    namespace.wait("topic/orders", "condition=Ready")
    return namespace


@pytest.fixture
def load(quickstart):
    return Load(quickstart)


@pytest.fixture
def figures():
    """Lines that are printed after the results: what was measured."""
    return FIGURES


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed and (namespace := getattr(item, "namespace", None)):
        report.sections.append((f"namespace {namespace.name}", told(namespace.describe)))
        logs = ["logs", "deployment/streamkeeper-operator", "--all-pods", "--prefix", "--tail=150"]
        report.sections.append(("operator", told(lambda: kubectl(f"--namespace={SYSTEM}", *logs))))


def pytest_terminal_summary(terminalreporter):
    for line in FIGURES:
        terminalreporter.write_line(line)
