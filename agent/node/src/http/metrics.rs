//! The text of `/metrics`: ZooKeeper 3.9's names, the names that Kafka's JMX exporter gives, and `process_*`. Only what this agent knows is
//! there; a gauge that would have to be guessed is not.
//!
//! Must not know: where it is served. Read first: [`text`].

use std::fmt::Write as _;

use streamkeeper_base::MemberId;
use streamkeeper_member::control::{Partition, RoleName, Topic};

use super::process::Process;
use crate::grpc::View;

/// Everything, one sample a line.
pub(super) fn text(own: MemberId, view: &View, process: &Process) -> String {
    let mut out = Lines(String::new());
    coordination(&mut out, view);
    broker(&mut out, own, view);
    of_process(&mut out, process);
    out.0
}

struct Lines(String);

impl Lines {
    fn gauge(&mut self, name: &str, help: &str, value: impl Into<Option<u64>>) {
        if let Some(value) = value.into() {
            self.sample(name, "gauge", help, value as f64);
        }
    }

    fn sample(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    }

    fn count(&mut self, name: &str, help: &str, count: usize) {
        self.gauge(name, help, count as u64);
    }
}

/// Names of ZooKeeper's Prometheus provider (3.9: no prefix).
fn coordination(out: &mut Lines, view: &View) {
    let Some(status) = &view.status else { return };
    out.count("znode_count", "Nodes in the tree.", status.znodes);
    out.count("num_alive_connections", "Connections of ZooKeeper's clients.", status.connections);
    let voters = status.members.values().filter(|(votes, _)| *votes).count();
    out.count("quorum_size", "Members that vote.", voters);
    if status.role == RoleName::Leading {
        out.count(
            "learners",
            "Members that follow or observe this leader and are up to date.",
            status.synced.len(),
        );
        let votes = |id: &&MemberId| status.members.get(*id).is_some_and(|(votes, _)| *votes);
        let followers = status.synced.iter().filter(votes).count();
        out.count("synced_followers", "Voters that follow this leader and are up to date.", followers);
    }
    out.gauge(
        "streamkeeper_quorum_leader",
        "1 on the quorum leader.",
        u64::from(status.role == RoleName::Leading),
    );
    out.gauge(
        "streamkeeper_serving",
        "1 while clients of ZooKeeper are served.",
        u64::from(status.role.serves()),
    );
    out.gauge("streamkeeper_zab_epoch", "The Zab epoch.", u64::from(status.zab_epoch));
    out.gauge("streamkeeper_zxid", "The last applied transaction.", u64::try_from(status.zxid.0).ok());
}

/// Names of Kafka's JMX exporter, lower case.
fn broker(out: &mut Lines, own: MemberId, view: &View) {
    let Some(status) = &view.status else { return };
    let all = || {
        let topics = view.image.topics.values();
        topics.flat_map(|topic| topic.partitions.iter().map(move |partition| (topic.as_ref(), partition)))
    };
    let held = || all().filter(|(_, partition)| partition.replicas.contains(&own));
    let led = || all().filter(|(_, partition)| partition.leader == Some(own));
    let is_short = |(topic, partition): &(&Topic, &Partition)| partition.isr.len() < topic.min_insync();
    let offline = |(_, partition): &(&Topic, &Partition)| partition.leader.is_none();
    let prefix = "kafka_server_replicamanager";
    out.count(&format!("{prefix}_partitioncount"), "Partitions with a replica here.", held().count());
    out.count(&format!("{prefix}_leadercount"), "Partitions that this member leads.", led().count());
    let under = led().filter(|(_, partition)| partition.is_under_replicated()).count();
    out.count(
        &format!("{prefix}_underreplicatedpartitions"),
        "Of them, those with replicas out of sync.",
        under,
    );
    let under = led().filter(is_short).count();
    out.count(
        &format!("{prefix}_underminisrpartitioncount"),
        "Of them, those below min.insync.replicas.",
        under,
    );
    let prefix = "kafka_controller_kafkacontroller";
    let leads = status.role == RoleName::Leading;
    out.gauge(&format!("{prefix}_activecontrollercount"), "1 on the controller.", u64::from(leads));
    // As in Kafka the controller alone counts for the cluster, so that a sum over members is right.
    let for_all = |count: usize| if leads { count } else { 0 };
    let count = for_all(all().filter(offline).count());
    out.count(&format!("{prefix}_offlinepartitionscount"), "Partitions without a leader.", count);
    out.count(&format!("{prefix}_globaltopiccount"), "Topics.", for_all(view.image.topics.len()));
    out.count(&format!("{prefix}_globalpartitioncount"), "Partitions.", for_all(all().count()));
    let live = view.image.members.values().filter(|member| member.live).count();
    out.count(&format!("{prefix}_activebrokercount"), "Members that are live.", for_all(live));
}

fn of_process(out: &mut Lines, process: &Process) {
    if let Some(seconds) = process.cpu_seconds {
        out.sample("process_cpu_seconds_total", "counter", "User and system CPU time in seconds.", seconds);
    }
    if let Some(seconds) = process.start_time_seconds {
        out.sample(
            "process_start_time_seconds",
            "gauge",
            "Start of the process in seconds since 1970.",
            seconds,
        );
    }
    out.gauge("process_threads", "Threads.", process.threads);
    out.gauge("process_virtual_memory_bytes", "Virtual memory in bytes.", process.virtual_bytes);
    out.gauge("process_resident_memory_bytes", "Resident memory in bytes.", process.resident_bytes);
    out.gauge("process_open_fds", "Open file descriptors.", process.open_fds);
    out.gauge("process_max_fds", "File descriptors that may be open.", process.max_fds);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use streamkeeper_base::{Address, Zxid};
    use streamkeeper_member::control::{ClusterImage, RegisteredMember};
    use streamkeeper_member::message::Status;

    use super::*;

    fn view(role: RoleName) -> View {
        let members = (0..3).map(|id| (MemberId(id), (id < 2, Address::default()))).collect();
        let status = Status {
            member: MemberId(0),
            role,
            quorum_leader: Some(MemberId(0)),
            zab_epoch: 3,
            zxid: Zxid(9),
            members,
            synced: vec![MemberId(1), MemberId(2)],
            znodes: 12,
            connections: 4,
            sessions: Vec::new(),
            leaderless: Vec::new(),
        };
        let mut image = ClusterImage::default();
        image.members.insert(MemberId(0), RegisteredMember { live: true, ..RegisteredMember::default() });
        View { status: Some(Arc::new(status)), image: Arc::new(image), is_stopping: false }
    }

    fn samples(text: &str) -> BTreeMap<&str, &str> {
        text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' ')).collect()
    }

    #[test]
    fn names_are_those_that_dashboards_know() {
        let text =
            text(MemberId(0), &view(RoleName::Leading), &Process { threads: Some(9), ..Process::default() });
        let found = samples(&text);
        let expected = [
            ("znode_count", "12"),
            ("num_alive_connections", "4"),
            ("quorum_size", "2"),
            ("learners", "2"),
            ("synced_followers", "1"),
            ("kafka_controller_kafkacontroller_activecontrollercount", "1"),
            ("kafka_controller_kafkacontroller_activebrokercount", "1"),
            ("kafka_server_replicamanager_partitioncount", "0"),
            ("process_threads", "9"),
        ];
        for (name, value) in expected {
            assert_eq!(found.get(name), Some(&value), "{name} in {text}");
        }
        assert!(!found.contains_key("process_open_fds"), "what is not known is not told");
    }

    #[test]
    fn only_the_leader_counts_for_all() {
        let text = text(MemberId(0), &view(RoleName::Following), &Process::default());
        let found = samples(&text);
        assert_eq!(found.get("kafka_controller_kafkacontroller_activebrokercount"), Some(&"0"));
        assert!(!found.contains_key("synced_followers"));
    }

    #[test]
    fn an_agent_that_knows_nothing_yet_tells_of_its_process_alone() {
        let text = text(MemberId(0), &View::default(), &Process { open_fds: Some(3), ..Process::default() });
        assert_eq!(samples(&text).into_keys().collect::<Vec<_>>(), ["process_open_fds"]);
    }
}
