//! `streamkeeper operator`: the operator's loop, as a process.
//!
//! Must not know: what the operator does. Read first: [`run`].

use anyhow::Result;
use streamkeeper_operator::kubernetes::run as operator;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::OperatorArgs;

/// Runs until SIGTERM or Ctrl-C.
pub(crate) fn run(args: OperatorArgs) -> Result<()> {
    let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    match variable("POD_NAME") {
        Some(_) => streamkeeper_node::logs::init_json(None),
        None => streamkeeper_node::logs::init(None)?,
    }
    // A pod's name is given to one process at a time; elsewhere a number makes it so.
    let instance = variable("POD_NAME").unwrap_or_else(|| format!("process-{}", std::process::id()));
    let options = operator::Options {
        namespaces: args.namespaces,
        image: args.image,
        http: args.http,
        instance,
        namespace: variable("POD_NAMESPACE"),
        lease: args.lease,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let mut terminate = signal(SignalKind::terminate())?;
        let stop = async move {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        };
        Ok(operator::run(options, stop).await?)
    })
}

#[cfg(test)]
mod tests {
    use streamkeeper_node::pod::{AgentFile, Record};
    use streamkeeper_operator::crd::EnsembleSpec;
    use streamkeeper_operator::kubernetes::build::{Parts, config_map};
    use streamkeeper_operator::kubernetes::record::Memory;

    /// The operator writes the files from its own types, because it must not depend on the agents' crates; this crate knows both.
    #[test]
    fn agents_read_what_the_operator_writes() {
        for spec in [
            r#"{"replicas": 3}"#,
            r#"{"replicas": 5, "voters": 3,
                "coordination": {"tickTimeMs": 1000, "minSessionTimeoutMs": 3000, "maxSessionTimeoutMs": 9000,
                    "maxClientCnxns": 60, "fourLetterWords": ["*"]},
                "broker": {"config": {"log.retention.hours": "24", "num.partitions": "3"}},
                "rebalance": {"mode": "Manual", "maxBytesPerSecond": "10Mi"}}"#,
        ] {
            let spec: EnsembleSpec = serde_json::from_str(spec).expect("a specification");
            let mut memory = Memory::default();
            memory.place(spec.replicas, spec.voters());
            memory.note_served(0, "claim");
            memory.mark_leaving(2);
            memory.replace_disk(1);
            let parts = Parts {
                name: "main".to_owned(),
                namespace: "prod".to_owned(),
                uid: "5d1f8a3e-0000-4000-8000-000000000001".to_owned(),
                cluster_id: "5d1f8a3e000040008000000000000001".to_owned(),
                replicas: spec.replicas,
                template: ("1Gi".to_owned(), None),
                restarted_at: None,
                memory: memory.clone(),
                spec,
                image: "streamkeeper:1".to_owned(),
                operator_namespace: None,
            };
            let directory =
                std::env::temp_dir().join(format!("streamkeeper-operator-{}", std::process::id()));
            std::fs::create_dir_all(&directory).expect("a directory");
            for (name, text) in config_map::build(&parts).data.expect("files") {
                std::fs::write(directory.join(name), text).expect("a file");
            }
            let agent = AgentFile::load(&directory.join("agent.yaml")).expect("an agent's file");
            assert_eq!(agent.member_of("main-1"), Ok(1));
            assert_eq!(agent.broker, parts.spec.broker.config);
            let record = Record::load(&directory.join("members.yaml")).expect("a record");
            assert_eq!(serde_json::to_value(&record).ok(), serde_json::to_value(&memory.record).ok());
            std::fs::remove_dir_all(&directory).expect("removed");
        }
    }
}
