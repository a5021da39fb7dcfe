"""The agents' gRPC services on real agents: health, reflection, checks, hand-over, and a member that leaves under load."""

import json
import time

import grpc
import pytest
from kazoo.client import KazooClient

from agents import Agent
from histories import check_log, check_sequence
from load import Producing, WritingZnodes, read_partitions


def agents(cluster):
    """One client for each agent; where gRPC is served is known to the ensemble's data directory."""
    state = json.loads((cluster.data / "ensemble.json").read_text())
    return [Agent(f"127.0.0.1:{member['ports']['grpc']}") for member in state["members"]]


def wait_for(what, condition, timeout=60):
    deadline = time.monotonic() + timeout
    while True:
        try:
            seen = condition()
        except grpc.RpcError as error:
            # The quorum's lead changes hands: the one answer that may be repeated.
            assert error.code() == grpc.StatusCode.UNAVAILABLE, error
            seen = None
        if seen:
            return seen
        assert time.monotonic() < deadline, f"{what}: not within {timeout} s"
        time.sleep(0.2)


def apply(cluster, tmp_path, replicas, paused):
    """Without `paused`, `up` would take back what is done to members by hand."""
    text = cluster.manifest.read_text().replace("replicas: 3", f"replicas: {replicas}\n  paused: {str(paused).lower()}")
    manifest = tmp_path / "m.yaml"
    manifest.write_text(text)
    cluster.cli("apply", "-f", str(manifest), "--wait", "--timeout", "120s", timeout=150)


def refused(agent, code, service, method, **fields):
    with pytest.raises(grpc.RpcError) as error:
        agent.call(service, method, **fields)
    assert error.value.code() == code, error.value
    return error.value.details()


def test_every_agent_tells_its_health_and_its_services(cluster):
    for agent in agents(cluster):
        assert {service: agent.health(service) for service in ["", "zookeeper", "kafka", "ready"]} == {
            "": "SERVING", "zookeeper": "SERVING", "kafka": "SERVING", "ready": "SERVING"
        }
        with pytest.raises(grpc.RpcError) as unknown:
            agent.health("mysql")
        assert unknown.value.code() == grpc.StatusCode.NOT_FOUND
        expected = {f"streamkeeper.v1alpha1.{name}" for name in ["Membership", "Rebalance", "Topics"]}
        assert expected | {"grpc.health.v1.Health"} <= set(agent.services())


def test_all_agents_describe_the_same_ensemble(cluster):
    told = [agent.call("Membership", "Describe") for agent in agents(cluster)]
    for description in told:
        assert description["leader"] == told[0]["leader"]
        assert [member["id"] for member in description["members"]] == [0, 1, 2]
        assert all(member["live"] and member["synced"] for member in description["members"])
        assert [m["id"] for m in description["members"] if m["leader"]] == [description["leader"]]
        assert description["quorum"]["margin"] == 1 and description["quorum"]["voters_by_default"] == 3
        assert description["partitions"]["offline"] == 0


def test_checks_name_what_blocks(cluster):
    agent = agents(cluster)[0]
    one = agent.call("Membership", "CheckRestart", members=[1])
    assert one["safe"], one
    two = agent.call("Membership", "CheckRestart", members=[0, 1])
    kinds = {blocker["kind"] for blocker in two["blockers"]}
    assert not two["safe"] and {"QUORUM", "PARTITION_UNDER_MIN_INSYNC"} <= kinds, two
    remove = agent.call("Membership", "CheckRemove", members=[2])
    assert not remove["allowed"] and {b["kind"] for b in remove["blockers"]} == {"REPLICATION_FACTOR"}
    details = refused(agent, grpc.StatusCode.FAILED_PRECONDITION, "Rebalance", "Drain", member=2)
    assert "2 members would remain" in details
    refused(agent, grpc.StatusCode.FAILED_PRECONDITION, "Membership", "Remove", member=2)
    refused(agent, grpc.StatusCode.NOT_FOUND, "Membership", "Cordon", member=77)
    refused(agent, grpc.StatusCode.INVALID_ARGUMENT, "Membership", "CheckRestart", members=[])


def test_topics_are_applied_once_and_never_shrink(own_cluster):
    first, second, *_ = agents(own_cluster)
    wanted = {"name": "applied", "partitions": 2, "replication_factor": 3, "configs": {"retention.ms": "60000"}}
    assert first.call("Topics", "Apply", **wanted, dry_run=True)["created"]
    refused(second, grpc.StatusCode.NOT_FOUND, "Topics", "Get", name="applied")
    assert first.call("Topics", "Apply", **wanted)["created"]
    again = second.call("Topics", "Apply", **wanted)
    assert not again["created"] and not again["grew"] and not again["configs_changed"]
    grown = second.call("Topics", "Apply", **{**wanted, "partitions": 4, "configs": {}})
    assert grown["grew"] and grown["configs_changed"] == ["retention.ms"]
    assert first.call("Topics", "Get", name="applied")["partition_count"] == 4
    for bad, code in [
        ({**wanted, "partitions": 3}, grpc.StatusCode.FAILED_PRECONDITION),
        ({**wanted, "partitions": 4, "replication_factor": 2}, grpc.StatusCode.FAILED_PRECONDITION),
        ({**wanted, "name": "other", "configs": {"no.such.key": "1"}}, grpc.StatusCode.INVALID_ARGUMENT),
    ]:
        refused(first, code, "Topics", "Apply", **bad)
    # A request that comes again after the topic was made anew must not delete the new one.
    delete = {"name": "applied", "write": {"request_id": "delete-1", "fencing_token": 7}}
    assert first.call("Topics", "Delete", **delete)["deleted"]
    assert not second.call("Topics", "Delete", name="applied")["deleted"]
    first.call("Topics", "Apply", **wanted)
    second.call("Topics", "Delete", **delete)
    assert first.call("Topics", "Get", name="applied")["partition_count"] == 2
    details = refused(first, grpc.StatusCode.FAILED_PRECONDITION, "Topics", "Apply",
                      **{**wanted, "partitions": 8}, write={"fencing_token": 6})
    assert "another operator took over" in details


def test_a_hand_over_leaves_nothing_to_lead(own_cluster, tmp_path):
    apply(own_cluster, tmp_path, 3, paused=True)
    agent = agents(own_cluster)[0]
    leader = agent.call("Membership", "Describe")["leader"]
    wait_for("hand-over", lambda: agent.call("Membership", "HandOver", member=leader)["done"])
    after = wait_for("a leader", lambda: agent.call("Membership", "Describe"))
    member = next(m for m in after["members"] if m["id"] == leader)
    assert after["leader"] != leader and member["partitions_led"] == 0 and member["resting"]
    own_cluster.kill(leader)

    def leads_again():
        members = agents(own_cluster)[(leader + 1) % 3].call("Membership", "Describe")["members"]
        now = next(m for m in members if m["id"] == leader)
        return now["partitions_led"] > 0 and not now["resting"]

    wait_for("its leads come back once it has started again", leads_again)


def test_members_leave_under_load_and_nothing_is_lost(own_cluster, tmp_path):
    """The way in and the way out: two join, then are drained and removed while producers and znode writers go on."""
    load, writer = Producing(own_cluster, "orders", 6), WritingZnodes(own_cluster, "leave")
    load.start()
    writer.start()
    apply(own_cluster, tmp_path, 5, paused=False)
    apply(own_cluster, tmp_path, 5, paused=True)
    agent = agents(own_cluster)[0]

    def progress():
        return next(agent.stream("Rebalance", "Get"))

    def five_balanced():
        members = agent.call("Membership", "Describe")["members"]
        return len(members) == 5 and all(m["live"] and m["partitions"] for m in members) and progress()["balanced"]

    wait_for("five members hold alike", five_balanced, 120)
    assert agent.call("Membership", "CheckRemove", members=[3, 4])["allowed"]
    wait_for("a third observer votes", lambda: agent.call("Membership", "Promote", member=3) is not None)
    refused(agent, grpc.StatusCode.FAILED_PRECONDITION, "Membership", "Remove", member=4)
    for member in [4, 3]:
        plan = agent.call("Rebalance", "Plan", without=[member])
        assert plan["moves"] and not plan["stuck"]
        agent.call("Rebalance", "Drain", member=member, write={"request_id": f"drain-{member}"})
        wait_for(f"member {member} is empty", lambda: agent.call("Rebalance", "Drain", member=member)["remaining"] == 0, 120)
        remaining = agent.call("Membership", "CheckRemove", members=[member])["remaining"]
        assert {b["kind"] for b in remaining} <= {"VOTES", "LEADS_QUORUM"}, remaining
        wait_for("it does not vote", lambda: agent.call("Membership", "Demote", member=member) is not None)
        wait_for("it may go", lambda: agent.call("Membership", "CheckRemove", members=[member])["empty"])
        agent.call("Membership", "Remove", member=member)
        agent.call("Membership", "Remove", member=member)
    # Their processes still run, and must not come back by themselves.
    time.sleep(3)
    description = agent.call("Membership", "Describe")
    assert [m["id"] for m in description["members"]] == [0, 1, 2]
    assert description["quorum"]["voters"] == [0, 1, 2]
    gone = agents(own_cluster)[4]
    assert gone.health("ready") == "NOT_SERVING" and gone.health() == "SERVING"
    wait_for("three members hold alike", lambda: progress()["balanced"])
    done = progress()
    assert done["moves_done"] == done["moves_total"] > 0 and not done["moving"]
    load.finish(90)
    writer.finish(60)
    assert not load.failed, load.failed[:3]
    logs = read_partitions(own_cluster, [("orders", partition) for partition in range(6)])
    for partition in range(6):
        assert len(load.acknowledged[partition]) == load.sent[partition] > 0
        check_log(load.acknowledged[partition], logs["orders", partition])
    client = KazooClient(hosts=own_cluster.zookeeper)
    client.start(timeout=15)
    client.sync("/kills")
    check_sequence(writer.created, set(client.get_children("/kills")))
    client.stop()
    client.close()
