"""Deleting never hangs: not an ensemble, not its topics, not the namespace, whatever goes first."""

import pytest

from images import ROOT
from kubernetes import Namespace, eventually

QUICKSTART = (ROOT / "examples/quickstart.yaml").read_text()


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
def test_an_ensemble_goes_and_its_policy_says_what_stays(quickstart, policy):
    quickstart.patch("ensemble/main", {"spec": {"deletionPolicy": policy}})
    quickstart.wait_ready()
    quickstart.kubectl("delete", "ensemble/main", "--timeout=120s", timeout=150)
    eventually("no pod is left", 90, lambda: not quickstart.pods())
    if policy == "Retain":
        assert len(quickstart.get("persistentvolumeclaims")) == 3
    else:
        eventually("no volume is left", 60, lambda: not quickstart.get("persistentvolumeclaims"))
    # What referred to it can still be deleted.
    quickstart.kubectl("delete", "topics", "--all", "--timeout=60s", timeout=90)


def test_a_namespace_goes_with_everything_in_it(operator):
    namespace = Namespace("e2e-going").create()
    namespace.apply(QUICKSTART.replace("replicationFactor: 3", "replicationFactor: 3\n  deletionPolicy: Delete"))
    namespace.wait_ready()
    namespace.delete(timeout=120)


def test_a_namespace_goes_before_anything_is_ready(operator):
    namespace = Namespace("e2e-early").create()
    namespace.apply(QUICKSTART)
    namespace.delete(timeout=120)

