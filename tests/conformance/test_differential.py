"""Apache Kafka's tools print against us what they print against Apache Kafka, line by line (see differential.py)."""

import base64
import difflib
import re
import uuid

import pytest

from cluster import Cluster
from differential import SCENARIOS, Recorder, Target, read_golden


@pytest.fixture(scope="module")
def target(tools):
    cluster = Cluster().start()
    addresses = [member["kafka"] for member in cluster.members]

    def segment(topic, partition):
        described = tools.run("topics", "--bootstrap-server", addresses[0], "--describe", "--topic", topic).out
        named = re.search(r"TopicId: (\S+)", described)[1]
        directory = str(uuid.UUID(bytes=base64.urlsafe_b64decode(named + "==")))
        return cluster.data / "member-0/data/topics" / directory / str(partition) / f"{0:020}.log"

    yield Target(addresses, [member["id"] for member in cluster.members], segment)
    cluster.close()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_the_tools_print_what_they_print_against_apache_kafka(scenario, target, tools):
    recorder = Recorder(target, tools)
    scenario(recorder)
    golden = read_golden(scenario)
    assert [command for command, _ in recorder.steps] == [command for command, _ in golden], "record-golden is due"
    wrong = []
    for (command, ours), (_, theirs) in zip(recorder.steps, golden):
        theirs = expected(command, theirs, ours)
        if ours != theirs:
            lines = difflib.unified_diff(theirs.split("\n"), ours.split("\n"), "Apache Kafka", "ours", lineterm="", n=0)
            wrong.append("\n".join([f"$ {command}", *lines]))
    assert not wrong, f"{len(wrong)} of {len(golden)} steps differ\n\n" + "\n\n".join(wrong)


# Broker configs whose default is ours (ARCHITECTURE.md, README.md), as Apache Kafka would print it.
OUR_BROKER_DEFAULTS = {"default.replication.factor": "3", "replica.lag.time.max.ms": "1000"}

# Apache Kafka's file in bench/peers sets what our cluster default says.
PEER_FILE = "STATIC_BROKER_CONFIG:min.insync.replicas=2, "

# What of Apache Kafka's APIs is not served yet (CONTRIBUTING.md).
NOT_SERVED = """
    SaslHandshake DeleteRecords AddPartitionsToTxn AddOffsetsToTxn EndTxn WriteTxnMarkers TxnOffsetCommit DescribeAcls CreateAcls
    DeleteAcls AlterConfigs AlterReplicaLogDirs DescribeLogDirs SaslAuthenticate CreateDelegationToken RenewDelegationToken
    ExpireDelegationToken DescribeDelegationToken ElectLeaders IncrementalAlterConfigs AlterPartitionReassignments
    ListPartitionReassignments OffsetDelete DescribeClientQuotas AlterClientQuotas DescribeUserScramCredentials
    AlterUserScramCredentials DescribeQuorum UpdateFeatures DescribeProducers UnregisterBroker DescribeTransactions
    ListTransactions ConsumerGroupHeartbeat ConsumerGroupDescribe ListConfigResources ShareGroupHeartbeat ShareGroupDescribe
    ShareFetch ShareAcknowledge AddRaftVoter RemoveRaftVoter InitializeShareGroupState ReadShareGroupState
    WriteShareGroupState DeleteShareGroupState ReadShareGroupStateSummary StreamsGroupHeartbeat StreamsGroupDescribe
    DescribeShareGroupOffsets AlterShareGroupOffsets DeleteShareGroupOffsets
""".split()


def expected(command, theirs, ours):
    """What we shall print, given what Apache Kafka prints: the same, but for what is declared here."""
    theirs = theirs.replace(PEER_FILE, "")
    if command.startswith("kafka-broker-api-versions"):
        return re.sub(r"(\t(\w+)\(\d+\): )[^,\n]+", lambda m: m[1] + "UNSUPPORTED" if m[2] in NOT_SERVED else m[0], theirs)
    if command == "kafka-configs --describe --broker {0} --all":
        shown = {broker_config(line) for line in ours.split("\n")}
        return "\n".join(our_default(line) for line in theirs.split("\n") if broker_config(line) in shown)
    if command == "DescribeConfigs broker":
        shown = {line.split()[0] for line in ours.split("\n")}
        return "\n".join(line for line in theirs.split("\n") if line.split()[0] in shown)
    return theirs


def broker_config(line):
    """The name of the config that the line shows. Of Apache Kafka's hundreds we show those that mean something to us."""
    return line.strip().split("=")[0] if " sensitive=" in line else None


def our_default(line):
    name = broker_config(line)
    value = OUR_BROKER_DEFAULTS.get(name)
    return f"  {name}={value} sensitive=false synonyms={{DEFAULT_CONFIG:{name}={value}}}" if value else line
