"""The command line: exit statuses, errors that name file, line and field, and what scripts read."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from cluster import ROOT, STREAMKEEPER, Cluster

QUICKSTART = (ROOT / "examples/quickstart.yaml").read_text()


def run(*arguments, timeout=60, **kwargs):
    return subprocess.run([STREAMKEEPER, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, **kwargs)


def write(path, text):
    path.write_text(text)
    return str(path)


def topic(name, **spec):
    fields = {"ensembleRef": {"name": "main"}, "partitions": 2, "replicationFactor": 3} | spec
    return json.dumps({"apiVersion": "streamkeeper.dev/v1alpha1", "kind": "Topic", "metadata": {"name": name}, "spec": fields})


# Without anything running.


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_is_valid(example):
    result = run("validate", "-f", example)
    assert (result.returncode, result.stderr) == (0, ""), result
    assert result.stdout.startswith("valid: Ensemble ")


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_runs(example, tmp_path):
    cluster = Cluster(example).start()
    try:
        assert cluster.cli("status").stdout == "healthy\n"
        topics = json.loads(cluster.cli("get", "topics", "-o", "json").stdout)
        assert topics and all(topic["ready"] and topic["resource"] for topic in topics)
    finally:
        cluster.close()


def test_all_mistakes_are_said_at_once_with_file_line_and_field(tmp_path):
    bad = QUICKSTART.replace("replicas: 3", "replicas: 0").replace("partitions: 6", "partition: 6")
    manifest = write(tmp_path / "bad.yaml", bad)
    for verb in (["validate", "-f", manifest], ["up", "-f", manifest, "--data", tmp_path / "data"]):
        result = run(*verb)
        assert result.returncode == 2 and result.stdout == "", result
        lines = result.stderr.splitlines()
        assert lines[0] == f"streamkeeper: {manifest}:7: spec.replicas: 0 is not possible; a whole number from 1 to 99 is"
        assert lines[1].startswith(f"streamkeeper: {manifest}:19: spec.partition: unknown field; did you mean partitions?")
        assert len(lines) == 3 and "spec.partitions: is missing" in lines[2]
    assert not (tmp_path / "data").exists(), "nothing is changed by a bad manifest"


def test_manifests_come_from_several_files_and_standard_input(tmp_path):
    ensemble, *topics = QUICKSTART.split("---\n")
    first = write(tmp_path / "ensemble.yaml", ensemble)
    result = run("validate", "-f", first, "-f", "-", input="---\n".join(topics))
    assert result.stdout == "valid: Ensemble main, 2 topics\n", result
    alone = run("validate", "-f", "-", input=topics[0])
    assert alone.returncode == 2 and "no Ensemble is given" in alone.stderr


def test_the_definitions_are_those_of_the_repository():
    result = run("crds")
    assert result.returncode == 0
    files = [(ROOT / "crds" / f"{name}.streamkeeper.dev.yaml").read_text() for name in ("ensembles", "topics")]
    assert result.stdout == "".join(f"---\n{text}" for text in files)


def test_verbs_that_need_a_running_up_say_so(tmp_path):
    manifest = write(tmp_path / "m.yaml", QUICKSTART)
    for verb in (["get", "members"], ["describe", "ensemble", "main"], ["status"], ["apply", "-f", manifest], ["delete", "topic", "x"]):
        result = run(*verb, "--data", tmp_path / "none")
        assert result.returncode == 1, verb
        assert "no `streamkeeper up` runs on this data directory; start one, or name another with --data" in result.stderr
    assert not (tmp_path / "none").exists()


def test_wrong_usage_is_2_and_help_is_0():
    for arguments in ([], ["fly"], ["get", "clouds"], ["apply"], ["get", "members", "-o", "xml"], ["apply", "-f", "x", "--timeout", "soon"]):
        assert run(*arguments).returncode == 2, arguments
    for arguments in (["--help"], ["up", "--help"], ["apply", "--help"], ["--version"]):
        result = run(*arguments)
        assert result.returncode == 0 and result.stdout, arguments
    for verb in ("up", "apply", "get", "describe", "delete", "validate", "status", "crds", "agent"):
        assert verb in run("--help").stdout


def test_data_directories_that_cannot_be_used_say_why_and_what_to_do(tmp_path):
    write(tmp_path / "file", "")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    write(foreign / "thesis.tex", "")
    old = tmp_path / "old"
    old.mkdir()
    write(old / "ensemble.json", '{"cluster_id": "x", "members": []}')
    broken = tmp_path / "broken"
    broken.mkdir()
    write(broken / "ensemble.json", "{")
    cases = {
        tmp_path / "file" / "below": "the data directory cannot be made; use another --data",
        foreign: "holds no ensemble, but something else (thesis.tex); use another --data, or an empty directory",
        old: "has format 1, this version reads 2; use another --data, or move this one away",
        broken: "is not an ensemble; use another --data, or move this one away",
    }
    for data, sentence in cases.items():
        result = run("up", "--any-port", "--data", data)
        assert result.returncode == 1 and sentence in result.stderr, (data, result)
        assert len(result.stderr.splitlines()) == 1, result.stderr
    assert sorted(path.name for path in foreign.iterdir()) == ["thesis.tex"]


def test_a_port_in_use_is_named_with_its_process(tmp_path):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 2182))
        except OSError:
            pass  # Another listener has it: just as good.
        else:
            taken.listen()
        result = run("up", "-o", "json", "--data", tmp_path / "data")
    assert result.returncode == 1
    assert re.search(r"port \d+ \([A-Za-z]+ of member \d\) is in use( by process \d+ \(.+\))?; stop what uses it", result.stderr), result
    assert "--any-port" in result.stderr
    (event,) = map(json.loads, result.stdout.splitlines())
    assert event["event"] == "error" and "is in use" in event["message"]
    assert not (tmp_path / "data/ensemble.json").exists(), "the next attempt begins anew"


# Against the quickstart.


def test_the_ready_event_has_the_fields_that_scripts_read(cluster):
    ready = next(event for event in cluster.events if event["event"] == "ready")
    assert (ready["ensemble"], ready["data"]) == ("main", str(cluster.data))
    for number, member in enumerate(ready["members"]):
        assert member["id"] == number and Path(member["log"]).exists()
        for field in ("zookeeper", "kafka", "grpc", "http"):
            assert re.fullmatch(r"127\.0\.0\.1:\d+", member[field]), member
        assert Path(f"/proc/{member['pid']}").exists()


def test_get_shows_tables_and_data(cluster):
    members = json.loads(cluster.cli("get", "members", "-o", "json").stdout)
    assert [m["id"] for m in members] == [0, 1, 2]
    assert sorted(m["role"] for m in members) == ["follower", "follower", "leader"]
    assert all(m["ready"] and m["partitions"] > 0 and m["pid"] for m in members)
    (ensemble,) = json.loads(cluster.cli("get", "ensembles", "main", "-o", "json").stdout)
    assert (ensemble["name"], ensemble["ready"], ensemble["members"]) == ("main", True, "3/3")
    topics = json.loads(cluster.cli("get", "topics", "-o", "json").stdout)
    orders = next(t for t in topics if t["name"] == "orders")
    assert (orders["partitions"], orders["replicationFactor"], orders["ready"]) == (6, 3, True)
    table = cluster.cli("get", "topics", "orders").stdout.splitlines()
    assert table[0].split()[:3] == ["NAME", "READY", "PARTITIONS"] and table[1].split()[:3] == ["orders", "true", "6"]
    assert "ZXID" in cluster.cli("get", "ensembles", "-o", "wide").stdout
    assert "- config:" in cluster.cli("get", "topics", "-o", "yaml").stdout
    missing = cluster.cli("get", "topics", "nowhere", check=False)
    assert missing.returncode == 1 and "there is no topic nowhere; see `streamkeeper get topics`" in missing.stderr


def test_describe_tells_people_and_machines(cluster):
    text = cluster.cli("describe", "ensemble", "main").stdout
    for part in ("Conditions:", "QuorumHealthy", "ScaleAllowed", "Members:", "Specification:", "replicas: 3"):
        assert part in text, text
    resource = json.loads(cluster.cli("describe", "ensemble", "main", "-o", "json").stdout)
    conditions = {c["type"]: c for c in resource["status"]["conditions"]}
    assert resource["kind"] == "Ensemble" and conditions["Ready"]["status"] == "True"
    assert len(conditions) == 7 and resource["status"]["observedGeneration"] == resource["metadata"]["generation"]
    text = cluster.cli("describe", "topic", "events").stdout
    assert "retention.ms=86400000" in text and "Partitions:" in text
    assert "kind: Topic" in cluster.cli("describe", "topic", "events", "-o", "yaml").stdout
    assert cluster.cli("describe", "ensemble", "other", check=False).returncode == 1
    assert cluster.cli("describe", "topic", "nowhere", check=False).returncode == 1


def test_output_off_a_terminal_is_plain(cluster):
    for verb in (["status"], ["get", "members"], ["describe", "ensemble", "main"]):
        assert "\x1b" not in cluster.cli(*verb).stdout


def test_what_is_wrong_with_a_change_is_said_and_nothing_is_changed(cluster, tmp_path):
    before = json.loads((cluster.data / "ensemble.json").read_text())
    ensemble = QUICKSTART.split("---\n")[0]
    cases = {
        topic("orders", partitions=1): "spec.partitions: 1 is fewer than the 6 there are; partitions may grow, never shrink",
        topic("orders", partitions=6, replicationFactor=2): "spec.replicationFactor: the topic has 3 copies of each partition",
        topic("new", replicationFactor=4): "spec.replicationFactor: 4 copies are not possible with 3 agents; 1 to 3 are",
        topic("new", config={"retention.ms": 5}): 'spec.config["retention.ms"]: the number 5 is not possible; text is',
        topic("new", config={"retention": "5"}): 'spec.config.retention: is not a topic setting',
        topic("new", ensembleRef={"name": "other"}): 'spec.ensembleRef.name: there is no Ensemble "other"; there is "main"',
        ensemble.replace("replicas: 3", "replicas: 1"): "spec.replicas: 1 agents are too few for the 3 copies of Topic events",
        ensemble.replace("replicas: 3", "replicas: 3\n  storage: {size: 1Gi}"): "1Gi is less than the 10Gi there are",
        ensemble.replace("group.initial.rebalance.delay.ms", "broker.id"): 'spec.broker.config["broker.id"]: cannot be set',
        ensemble.replace("name: main", "name: other"): "the ensemble that runs is called main",
    }
    for text, sentence in cases.items():
        result = cluster.cli("apply", "-f", write(tmp_path / "bad.yaml", text), check=False)
        assert result.returncode == 2 and result.stdout == "", (text, result)
        assert re.search(rf"bad\.yaml:\d+: .*{re.escape(sentence)}", result.stderr), (sentence, result.stderr)
    assert json.loads((cluster.data / "ensemble.json").read_text()) == before


def test_a_dry_run_says_what_would_be_and_changes_nothing(cluster, tmp_path):
    manifest = write(tmp_path / "m.yaml", QUICKSTART.replace("replicas: 3", "replicas: 4") + "---\n" + topic("dry"))
    result = cluster.cli("apply", "-f", manifest, "--dry-run")
    lines = result.stdout.splitlines()
    assert lines[:2] == ["ensemble/main configured (dry run)", "  spec.replicas: 3 -> 4"]
    assert "topic/dry created (dry run)" in lines and "orders" not in result.stdout
    assert "next: start member 3 (it is wanted and does not run)" in lines
    assert "dry" not in cluster.cli("get", "topics").stdout


def test_topics_are_made_altered_grown_and_deleted(cluster, tools, tmp_path):
    def apply(**spec):
        return cluster.cli("apply", "-f", write(tmp_path / "t.yaml", topic("altered", **spec)), "--wait", "--timeout", "60s").stdout

    def configs():
        text = tools.run("kafka-configs", "--bootstrap-server", cluster.kafka, "--describe", "--topic", "altered").out
        return {key: value for key, value in re.findall(r"^  ([\w.]+)=(\S+)", text, re.M)}

    assert "topic/altered created" in apply(config={"retention.ms": "100000", "max.message.bytes": "2000"})
    assert configs() == {"retention.ms": "100000", "max.message.bytes": "2000"}
    out = apply(partitions=5, config={"retention.ms": "200000", "segment.ms": None})
    assert "topic/altered configured" in out and "  spec.partitions: 2 -> 5" in out
    assert configs() == {"retention.ms": "200000"}, "a key that is not given any more has its default again"
    described = tools.run("kafka-topics", "--bootstrap-server", cluster.kafka, "--describe", "--topic", "altered").out
    assert "PartitionCount: 5" in described
    assert apply(partitions=5, config={"retention.ms": "200000", "segment.ms": None}).startswith("unchanged\n")
    assert "(dry run)" in cluster.cli("delete", "topic", "altered", "--dry-run").stdout
    assert cluster.cli("delete", "topic", "altered").stdout == "topic altered deleted\n"
    time.sleep(1)
    gone = cluster.cli("delete", "topic", "altered", check=False)
    assert gone.returncode == 1 and "there is no topic altered" in gone.stderr
    assert "altered" not in cluster.cli("get", "topics").stdout, "it is not made anew"


def test_a_topic_of_another_hand_is_taken_over_or_refused(cluster, tools, tmp_path):
    create = ["--create", "--topic", "found", "--partitions", "4", "--replication-factor", "3"]
    assert tools.run("kafka-topics", "--bootstrap-server", cluster.kafka, *create).status == 0
    manifest = write(tmp_path / "t.yaml", topic("found", partitions=2))
    result = cluster.cli("apply", "-f", manifest, "--wait", "--timeout", "30s", check=False)
    assert result.returncode == 1 and "has 4 partitions, 2 are wanted; partitions may grow, never shrink" in result.stderr
    assert cluster.cli("status", check=False).returncode == 3
    cluster.cli("apply", "-f", write(tmp_path / "t.yaml", topic("found", partitions=4)), "--wait", "--timeout", "30s")
    assert cluster.cli("status").stdout == "healthy\n"
    cluster.cli("delete", "topic", "found")


# On an ensemble of the test's own.


def wait_status(cluster, code, timeout=30):
    deadline = time.monotonic() + timeout
    while True:
        result = cluster.cli("status", check=False)
        if result.returncode == code:
            return result.stdout
        assert time.monotonic() < deadline, f"status is {result.returncode}, not {code}: {result.stdout}{result.stderr}"
        time.sleep(0.2)


def test_status_is_degraded_without_a_member_and_healthy_again(own_cluster):
    assert wait_status(own_cluster, 0) == "healthy\n"
    victim = own_cluster.pid(2)
    os.kill(victim, signal.SIGSTOP)
    try:
        text = wait_status(own_cluster, 3)
        assert text.startswith("degraded\n") and "member 2 does not serve; see " in text
    finally:
        os.kill(victim, signal.SIGCONT)
    wait_status(own_cluster, 0)


def test_no_orphan_is_left_and_the_next_up_goes_on(own_cluster):
    pids = [m["pid"] for m in own_cluster.members]
    ports = {m["kafka"] for m in own_cluster.members}
    own_cluster.process.kill()
    own_cluster.process.wait()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline, "agents outlive the `up` that was killed"
        time.sleep(0.1)
    result = run("get", "members", "--data", own_cluster.data)
    assert result.returncode == 1
    own_cluster.errors.close()
    own_cluster.start()
    assert {m["kafka"] for m in own_cluster.members} == ports, "members keep their ports"


def test_up_without_files_goes_on_with_what_the_directory_holds(tmp_path):
    small = QUICKSTART.replace("replicas: 3", "replicas: 1").replace("replicationFactor: 3", "replicationFactor: 1")
    (tmp_path / "data").mkdir()
    first = Cluster(write(tmp_path / "one.yaml", small.replace("name: main", "name: small")), data=tmp_path / "data").start()
    first.stop()
    process = subprocess.Popen(
        [STREAMKEEPER, "up", "--data", str(tmp_path / "data"), "-o", "json"], stdout=subprocess.PIPE, text=True
    )
    try:
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "ready":
                break
        assert (event["ensemble"], len(event["members"])) == ("small", 1)
        second = run("up", "--data", tmp_path / "data")
        assert second.returncode == 1 and "another `streamkeeper up` runs on this data directory" in second.stderr
    finally:
        process.terminate()
        process.wait(30)
