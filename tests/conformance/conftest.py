import pytest

from cluster import Cluster
from tools import Tools


@pytest.fixture(scope="session")
def tools():
    """Apache Kafka's tools in one JVM."""
    jvm = Tools()
    yield jvm
    jvm.close()


@pytest.fixture(scope="session")
def cluster():
    """The quickstart, shared by tests that break nothing."""
    running = Cluster().start()
    yield running
    running.close()


@pytest.fixture
def own_cluster():
    """A quickstart of the test's own, to be killed, scaled and restarted."""
    running = Cluster().start()
    yield running
    running.close()


FIGURES = []


@pytest.fixture
def figures():
    """Lines that are printed after the results: what was measured."""
    return FIGURES


def pytest_terminal_summary(terminalreporter):
    for line in FIGURES:
        terminalreporter.write_line(line)
