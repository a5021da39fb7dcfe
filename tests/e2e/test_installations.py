"""The other ways to install: the operator in the namespace that it looks after, one that looks after named namespaces, two over one namespace."""

import pytest

import images
from installation import release, uninstall
from kubernetes import SYSTEM, Namespace, eventually, kubectl
from test_deletion import DELETING, QUICKSTART
from test_operator_down import actors, nobody_operates  # noqa: F401
from test_scale import scale

PLAIN = images.ROOT / "examples/kubernetes"


@pytest.fixture
def plain(operator):
    """The operator of examples/kubernetes with this version's image, in its own namespace, which is the only one that it looks after."""
    namespace = Namespace("streamkeeper")
    kubectl("apply", "--server-side", "-f", PLAIN / "namespace.yaml")
    manifest = (PLAIN / "operator.yaml").read_text()
    published = "ghcr.io/streamkeeper/streamkeeper:0.1.0"
    assert manifest.count(published) == 2, "the README says that the image is named twice"
    namespace.apply(manifest.replace(published, images.STREAMKEEPER))
    namespace.kubectl("rollout", "status", "deployment/streamkeeper-operator", "--timeout=60s", timeout=90)
    yield namespace
    if kubectl("get", "namespace", namespace.name, "--ignore-not-found", "-o", "name"):
        namespace.delete()


def test_a_namespace_goes_with_the_operator_that_is_in_it(nobody_operates, plain):  # noqa: F811
    """Its pod goes before any topic is told to."""
    plain.apply(DELETING)
    plain.wait_ready()
    plain.wait("topic/orders", "condition=Ready")
    plain.delete(timeout=120)


def test_a_namespace_goes_with_the_rights_that_are_in_it(nobody_operates):  # noqa: F811
    """An operator elsewhere looks after it, and its Role goes with everything else."""
    namespace = Namespace("e2e-watched").create()
    watched = f"{{{namespace.name}}}"
    release("second", crds_create="false", rbac_aggregateClusterRoles="false", watchNamespaces=watched)
    try:
        namespace.apply(DELETING)
        namespace.wait_ready()
        namespace.wait("topic/orders", "condition=Ready")
        namespace.delete(timeout=120)
    finally:
        uninstall("second")


def test_of_two_installations_one_acts(plain):
    """The one of the whole cluster looks after this namespace, too."""
    plain.apply(QUICKSTART)
    plain.wait_ready()
    scale(plain, 4)
    told = eventually("Events of members", 30, lambda: actors(plain))
    assert len(told) == 1, f"one installation acts on members: {told}"
    assert plain.get("ensemble/main")["status"]["operator"], "it says who"
    kubectl(f"--namespace={SYSTEM}", "rollout", "status", "deployment/streamkeeper-operator", "--timeout=60s", timeout=90)
