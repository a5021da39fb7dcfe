//! Agents as pods run them: the real binary with `agent --pod`, each with a volume and an address of its own on loopback.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use streamkeeper_operator::agents::{Agents, Clients};

const GRPC: u16 = 17401;
const HTTP: u16 = 18401;
const PATIENCE: Duration = Duration::from_secs(60);

/// Pods of one ensemble.
struct Pods {
    directory: tempfile::TempDir,
    /// The first three numbers of their addresses: no two ensembles of this machine share them.
    network: String,
    children: BTreeMap<i32, Child>,
    runtime: tokio::runtime::Runtime,
}

impl Pods {
    fn new(number: u8) -> Self {
        let process = std::process::id();
        Self {
            directory: tempfile::tempdir().expect("a directory"),
            network: format!("127.{}.{}", 64 + process % 128, number + (process / 128 % 64) as u8 * 4),
            children: BTreeMap::new(),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"),
        }
    }

    fn place(&self, id: i32) -> PathBuf {
        self.directory.path().join(format!("main-{id}"))
    }

    fn volume(&self, id: i32) -> PathBuf {
        self.place(id).join("volume")
    }

    fn host(&self, id: i32) -> String {
        format!("{}.{}", self.network, id + 1)
    }

    /// Tells all pods, those too that run or wait.
    fn record(&self, founders: &str, members: &[(i32, &str)]) {
        let entries: String = members
            .iter()
            .map(|(id, rest)| format!("- {{id: {id}, host: {}{rest}}}\n", self.host(*id)))
            .collect();
        for id in 0..4 {
            let place = self.place(id);
            std::fs::create_dir_all(&place).expect("a directory");
            // As the kubelet does it: a reader sees the old file or the new one.
            let text = format!("founders: {founders}\nmembers:\n{entries}");
            std::fs::write(place.join("members.new"), text).expect("a file");
            std::fs::rename(place.join("members.new"), place.join("members.yaml")).expect("a file");
        }
    }

    fn start(&mut self, id: i32, zone: &str) {
        let place = self.place(id);
        std::fs::create_dir_all(self.volume(id)).expect("a directory");
        let agent = format!(
            "clusterId: 00000000000000000000000000000042\ndomain: main-agents.test.svc\npodPrefix: main\nbind: {}\n\
             ports: {{peer: 17301, zookeeper: 12181, kafka: 19092, grpc: {GRPC}, http: {HTTP}}}\nvolume: {}\n",
            self.host(id),
            self.volume(id).display()
        );
        std::fs::write(place.join("agent.yaml"), agent).expect("a file");
        let log = std::fs::File::options().create(true).append(true).open(place.join("log")).expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_streamkeeper"))
            .args(["agent", "--pod"])
            .arg(&place)
            .env("POD_NAME", format!("main-{id}"))
            .env("STREAMKEEPER_ZONE", zone)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("an agent");
        self.children.insert(id, child);
    }

    /// SIGTERM, as the kubelet sends it.
    fn stop(&mut self, id: i32) -> ExitStatus {
        let mut child = self.children.remove(&id).expect("it runs");
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
        let asked = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("a child") {
                return status;
            }
            // The grace that a pod has by default.
            assert!(asked.elapsed() < Duration::from_secs(30), "member {id} does not stop");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn agents(&self) -> Clients {
        let addresses = (0..4).map(|id| (id, format!("{}:{GRPC}", self.host(id)))).collect();
        Clients::new(&addresses, 0)
    }

    /// What an operator is told that means another cluster.
    fn asked_for_another_cluster(&self) -> String {
        let address = [(0, format!("{}:{GRPC}", self.host(0)))].into();
        let answer = self.runtime.block_on(async {
            let mut agents = Clients::new(&address, 0);
            agents.set_cluster("00000000000000000000000000000043");
            (agents.is_ready(0).await, agents.describe().await)
        });
        assert_eq!(answer.0, None);
        answer.1.expect_err("no answer").to_string()
    }

    /// `Some(false)` is an agent that answers and does not serve.
    fn is_ready(&self, id: i32) -> Option<bool> {
        self.runtime.block_on(async { self.agents().is_ready(id).await })
    }

    fn wait_ready(&self, ids: &[i32]) {
        self.wait(&format!("members {ids:?} serve"), || {
            ids.iter().all(|id| self.is_ready(*id) == Some(true))
        });
    }

    fn wait(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let until = Instant::now() + PATIENCE;
        while !condition() {
            let logs: Vec<String> = (0..4).map(|id| self.log(id)).collect();
            assert!(Instant::now() < until, "{what}: not in {PATIENCE:?}; logs: {}", logs.join("\n\n"));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Zones and voters by member, as the quorum leader tells it; empty while there is none.
    fn described(&self) -> (BTreeMap<i32, String>, Vec<i32>) {
        let described = self.runtime.block_on(async { self.agents().describe().await });
        let Ok(described) = described else { return Default::default() };
        let zones = described.members.into_iter().map(|member| (member.id, member.zone)).collect();
        (zones, described.quorum.unwrap_or_default().voters)
    }

    /// The status and the text of a page.
    fn http(&self, id: i32, path: &str) -> (u16, String) {
        let mut stream = std::net::TcpStream::connect((self.host(id), HTTP)).expect("its HTTP port");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.host(id))
            .expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, text) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, text.to_owned())
    }

    fn log(&self, id: i32) -> String {
        std::fs::read_to_string(self.place(id).join("log")).unwrap_or_default()
    }

    /// What a member said: every line of its log is JSON with the keys that people search for.
    fn messages(&self, id: i32) -> Vec<String> {
        let message = |line: &str| {
            let line: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert!(["ts", "level", "target"].iter().all(|key| line[*key].is_string()), "{line}");
            assert_eq!(line["member"], id, "{line}");
            line["msg"].as_str().expect("a message").to_owned()
        };
        self.log(id).lines().map(message).collect()
    }
}

impl Drop for Pods {
    fn drop(&mut self) {
        for child in self.children.values_mut() {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn a_founder_whose_volume_is_lost_waits_until_it_is_let_in_anew() {
    let mut pods = Pods::new(0);
    pods.record("[0, 1, 2]", &[(0, ""), (1, ""), (2, "")]);
    (0..3).for_each(|id| pods.start(id, ""));
    pods.wait_ready(&[0, 1, 2]);
    let served = ", served: true";
    pods.record("[0, 1, 2]", &[(0, served), (1, served), (2, served)]);
    assert!(pods.stop(2).success());
    std::fs::remove_dir_all(pods.volume(2)).expect("its volume");
    pods.start(2, "");
    pods.wait("it says why it waits", || {
        pods.messages(2).iter().any(|m| m.starts_with("waiting: the data of member 2 is gone"))
    });
    pods.wait("it is healthy", || pods.is_ready(2) == Some(false));
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(pods.is_ready(2), Some(false), "it waits for as long as it takes");
    assert!(!pods.volume(2).join("disk-0").exists(), "nothing is formatted meanwhile");
    let waits = pods.messages(2).into_iter().filter(|m| m.starts_with("waiting:")).count();
    assert_eq!(waits, 1, "it says it once");
    pods.record("[0, 1]", &[(0, served), (1, served), (2, ", place: 1")]);
    pods.wait_ready(&[0, 1, 2]);
    assert!(pods.volume(2).join("disk-1/meta").exists());
    let (zones, voters) = pods.described();
    assert_eq!((zones.len(), voters), (3, vec![0, 1, 2]));
    // An address of a pod is given again, and an operator with an old picture meant somebody else's agents.
    let refused = pods.asked_for_another_cluster();
    assert!(refused.contains("000042, not to 00000000000000000000000000000043"), "{refused}");
    for id in [2, 1, 0] {
        assert!(pods.stop(id).success(), "{}", pods.log(id));
    }
}

#[test]
fn a_pod_waits_for_its_entry_and_brings_its_zone() {
    let mut pods = Pods::new(1);
    pods.record("[0]", &[(0, "")]);
    pods.start(0, "east");
    pods.start(3, "west");
    pods.wait_ready(&[0]);
    pods.wait("the pod without an entry is healthy", || pods.is_ready(3) == Some(false));
    assert!(pods.messages(3).iter().any(|m| m.contains("has no entry for member 3")));
    pods.record("[0]", &[(0, ", served: true"), (3, ", zone: elsewhere")]);
    pods.wait_ready(&[0, 3]);
    assert_eq!(pods.http(0, "/livez"), (200, "ok".to_owned()));
    assert_eq!(
        pods.http(3, "/readyz?verbose").1,
        "[+]process ok\n[+]zookeeper ok\n[+]kafka ok\nreadyz check passed\n"
    );
    let (status, metrics) = pods.http(0, "/metrics");
    let names = ["\nquorum_size 1\n", "\nsynced_followers ", "\nprocess_resident_memory_bytes "];
    assert!(status == 200 && names.iter().all(|name| metrics.contains(name)), "{metrics}");
    assert_eq!(pods.http(0, "/etc/passwd").0, 404);
    let zones = |east: &str| BTreeMap::from([(0, east.to_owned()), (3, "west".to_owned())]);
    pods.wait("zones are known", || pods.described().0 == zones("east"));
    assert!(pods.stop(0).success());
    // As a pod does that was deleted by force and still runs.
    let other = std::fs::File::open(pods.volume(0).join("disk-0/lock")).expect("the lock");
    other.lock().expect("nobody has it");
    pods.start(0, "north");
    pods.wait("it waits for the other process", || {
        pods.messages(0).iter().any(|m| m.starts_with("waiting: another process works on "))
    });
    drop(other);
    pods.wait("the new zone is taken over", || pods.described().0 == zones("north"));
}

#[test]
fn a_waiting_pod_stops_at_once_and_a_wrong_file_is_named() {
    let mut pods = Pods::new(2);
    pods.record("[0]", &[(0, "")]);
    pods.start(1, "");
    pods.wait("it waits", || pods.is_ready(1) == Some(false));
    let asked = Instant::now();
    assert!(pods.stop(1).success());
    assert!(asked.elapsed() < Duration::from_secs(2));
    std::fs::write(pods.place(1).join("members.yaml"), "members: [{id: 1, colour: red}]").expect("a file");
    pods.start(1, "");
    pods.wait("it names file and field", || {
        pods.messages(1).iter().any(|m| m.contains("members.yaml: ") && m.contains("colour"))
    });
}
