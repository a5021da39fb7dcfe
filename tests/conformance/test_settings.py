"""The broker's settings change under running members: nothing is restarted but for what is read at the start (KIP-226)."""

import hashlib
import time

import grpc
from confluent_kafka.admin import AdminClient, ConfigResource

from test_grpc import agents, apply, refused

SETTING = 'group.initial.rebalance.delay.ms: "200"'


def shall_have(cluster, tmp_path, **settings):
    """Applies the manifest with these settings in place of its own, and waits until it is so."""
    lines = "".join(f'      {name.replace("_", ".")}: "{value}"\n' for name, value in settings.items())
    text = cluster.manifest.read_text()
    assert f"      {SETTING}\n" in text
    manifest = tmp_path / "settings.yaml"
    manifest.write_text(text.replace(f"      {SETTING}\n", lines))
    return cluster.cli("apply", "-f", str(manifest), "--wait", "--timeout", "120s", timeout=150).stdout


def configs(cluster, resource, member=0):
    """What a resource is said to have, by this member."""
    admin = AdminClient({"bootstrap.servers": cluster.members[member]["kafka"]})
    (future,) = admin.describe_configs([resource]).values()
    return {name: entry.value for name, entry in future.result(15).items()}


def broker(cluster, member):
    return configs(cluster, ConfigResource(ConfigResource.Type.BROKER, str(member)), member)


def pids(cluster):
    return {member["id"]: cluster.pid(member["id"]) for member in cluster.members}


def digest(settings):
    text = "".join(f"{name}\0{settings[name]}\0" for name in sorted(settings))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def test_settings_change_without_a_restart_and_outlive_one(own_cluster, tmp_path):
    before = pids(own_cluster)
    shall_have(own_cluster, tmp_path, num_partitions=4, log_retention_ms=360000, group_initial_rebalance_delay_ms=100)
    assert pids(own_cluster) == before
    for member in before:
        told = broker(own_cluster, member)
        assert (told["num.partitions"], told["log.retention.ms"], told["group.initial.rebalance.delay.ms"]) == ("4", "360000", "100")
    assert configs(own_cluster, ConfigResource(ConfigResource.Type.TOPIC, "orders"))["retention.ms"] == "360000"
    admin = AdminClient({"bootstrap.servers": own_cluster.kafka, "allow.auto.create.topics": True})
    deadline = time.monotonic() + 30
    while not (made := admin.list_topics("made-by-itself", timeout=10).topics["made-by-itself"].partitions):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert len(made) == 4
    own_cluster.kill(1)
    own_cluster.wait_event("member-started")
    own_cluster.cli("apply", "-f", str(tmp_path / "settings.yaml"), "--wait", "--timeout", "60s")
    assert pids(own_cluster)[1] != before[1]
    assert broker(own_cluster, 1)["log.retention.ms"] == "360000", "the process that was started again has them from its file"
    again = pids(own_cluster)
    shall_have(own_cluster, tmp_path, num_partitions=4)
    assert pids(own_cluster) == again
    told = broker(own_cluster, 2)
    assert (told["num.partitions"], told["log.retention.ms"], told["group.initial.rebalance.delay.ms"]) == ("4", None, "3000")
    assert configs(own_cluster, ConfigResource(ConfigResource.Type.TOPIC, "orders"))["retention.ms"] == "604800000"


def test_what_is_read_at_the_start_restarts_members_one_by_one(own_cluster, tmp_path):
    before = pids(own_cluster)
    shall_have(own_cluster, tmp_path, connections_max_idle_ms=500000, num_partitions=2)
    after = pids(own_cluster)
    assert all(after[member] != before[member] for member in before)
    for member in before:
        told = broker(own_cluster, member)
        assert (told["connections.max.idle.ms"], told["num.partitions"]) == ("500000", "2")


def test_one_broker_is_told_by_those_who_may(own_cluster, tmp_path):
    apply(own_cluster, tmp_path, 3, paused=True)
    first, second, *_ = agents(own_cluster)

    def in_force(agent):
        itself = agent.call("Membership", "Describe", itself=True)["settings_digest"]
        assert agent.call("Membership", "Describe")["settings_digest"] == itself
        return itself

    begun = digest({"group.initial.rebalance.delay.ms": "200"})
    assert (in_force(first), in_force(second)) == (begun, begun)
    for name, value in [("no.such.key", "1"), ("num.partitions", "none"), ("connections.max.idle.ms", "5")]:
        bad = {"log.retention.ms": "7", name: value}
        assert name in refused(first, grpc.StatusCode.INVALID_ARGUMENT, "Membership", "ConfigureBroker", settings=bad)
    assert in_force(first) == begun and broker(own_cluster, 0)["log.retention.ms"] is None
    settings = {"num.partitions": "5", "log.retention.ms": "9"}
    for _ in range(2):
        first.call("Membership", "ConfigureBroker", settings=settings, write={"fencing_token": 7})
        assert (in_force(first), in_force(second)) == (digest(settings), begun)
    told = broker(own_cluster, 0)
    assert (told["num.partitions"], told["log.retention.ms"], told["group.initial.rebalance.delay.ms"]) == ("5", "9", "3000")
    # The token counts in the whole ensemble.
    older = {"settings": {}, "write": {"fencing_token": 6}}
    for agent in (first, second):
        details = refused(agent, grpc.StatusCode.FAILED_PRECONDITION, "Membership", "ConfigureBroker", **older)
        assert "another operator took over" in details
    assert (in_force(first), in_force(second)) == (digest(settings), begun)
    apply(own_cluster, tmp_path, 3, paused=False)
    assert (in_force(first), in_force(second)) == (begun, begun), "what was told by hand is taken back"
