//! The verbs and their options.
//!
//! Must not know: what they do. Read first: [`Verb`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::describe::{Described, Form};
use crate::get::{Shown, What};

/// One binary instead of ZooKeeper, Kafka and their operators.
///
/// `streamkeeper up` runs an ensemble on this machine; the other verbs look at it and change it. Exit status: 0 done, 1 failed, 2 wrong
/// input (nothing was changed), 3 degraded (`status` only).
#[derive(Parser)]
#[command(version, about, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// The running `up` that a verb is about.
#[derive(Args)]
pub(crate) struct Data {
    /// The data directory of the running `up`.
    #[arg(long, value_name = "DIR", default_value_os_t = default_data())]
    pub(crate) data: PathBuf,
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Run an ensemble and its topics on local processes, in the foreground.
    ///
    /// Without -f: what the data directory holds, or the built-in quickstart (three agents, two topics). Starts an agent again that
    /// dies, and stops all in order on Ctrl-C; the next `up` on the same data directory goes on where this one stopped.
    Up {
        /// Manifests (Ensemble and Topic); - for standard input. Topics that are there and not mentioned stay.
        #[arg(short, long = "file", value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Where everything durable lives.
        #[arg(long, value_name = "DIR", default_value_os_t = default_data())]
        data: PathBuf,
        /// Take free ports instead of 2181, 9092, 7301, 7401, 8401 and those after them.
        #[arg(long)]
        any_port: bool,
        /// How events are shown.
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Change what a running `up` shall be: scale, add topics, alter their settings, change the configuration.
    ///
    /// The manifests are held against the same schema and rules as by Kubernetes. Resources that are not mentioned stay as they are.
    Apply {
        /// Manifests; - for standard input.
        #[arg(short, long = "file", required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Wait until it is done: members serve, topics are in sync, replicas lie even.
        #[arg(long)]
        wait: bool,
        /// How long --wait waits at most, for instance 90s or 5m.
        #[arg(long, default_value = "5m", value_parser = duration, value_name = "TIME")]
        timeout: Duration,
        /// Say what would change and what would be done first, and change nothing.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        data: Data,
    },
    /// List the ensemble, its members, or its topics.
    Get {
        /// What.
        #[arg(value_enum)]
        what: What,
        /// Only the one of this name.
        name: Option<String>,
        /// How it is shown.
        #[arg(short, long, value_enum, default_value_t = Shown::Table)]
        output: Shown,
        #[command(flatten)]
        data: Data,
    },
    /// Show everything about an ensemble or a topic: conditions, what it waits for, where its replicas are.
    Describe {
        /// What.
        #[arg(value_enum)]
        what: Described,
        /// Its name; of a topic also the one in Kafka.
        name: String,
        /// How it is shown.
        #[arg(short, long, value_enum, default_value_t = Form::Text)]
        output: Form,
        #[command(flatten)]
        data: Data,
    },
    /// Delete a topic and its data.
    Delete {
        /// `topic`.
        #[arg(value_parser = ["topic"])]
        kind: String,
        /// Its name.
        name: String,
        /// Say what would be deleted, and change nothing.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        data: Data,
    },
    /// Check manifests without running anything: schema, rules, settings, references.
    Validate {
        /// Manifests; - for standard input.
        #[arg(short, long = "file", required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// One word, then the reasons; exit status 0 healthy, 1 failed, 3 degraded.
    Status {
        #[command(flatten)]
        data: Data,
    },
    /// Reconcile the Ensembles and Topics of a Kubernetes cluster, until SIGTERM.
    ///
    /// In a pod it uses its ServiceAccount, elsewhere KUBECONFIG. Of several operators the one that holds the Lease
    /// streamkeeper-operator (in POD_NAMESPACE) acts.
    Operator(OperatorArgs),
    /// Print the definitions of the resources, for `kubectl apply -f -`.
    Crds,
    /// Ask an operator whether it is ready; exit status 0 if it is.
    Ready {
        /// Its HTTP address.
        #[arg(value_name = "HOST:PORT")]
        address: String,
        /// How long to ask again and again.
        #[arg(long, default_value = "0s", value_parser = duration, value_name = "TIME")]
        timeout: Duration,
    },
    /// Run one agent: from its configuration file, in a pod of Kubernetes, or as a member of a ZooKeeper ensemble from a `zoo.cfg`.
    #[command(group(clap::ArgGroup::new("from").required(true)))]
    Agent {
        /// The agent's configuration.
        #[arg(long, group = "from", value_name = "FILE")]
        config: Option<PathBuf>,
        /// The directory with agent.yaml and members.yaml that the operator writes; POD_NAME and STREAMKEEPER_ZONE are read, too.
        #[arg(long, group = "from", value_name = "DIR")]
        pod: Option<PathBuf>,
        /// ZooKeeper's own configuration, unmodified; the member serves ZooKeeper's clients alone.
        #[arg(long, group = "from", value_name = "FILE")]
        zoo_cfg: Option<PathBuf>,
        /// A system property of ZooKeeper's, such as zookeeper.snapCount=100000.
        #[arg(short = 'D', value_name = "NAME=VALUE", requires = "zoo_cfg")]
        properties: Vec<String>,
        /// Stop when standard input ends: set by a parent that must leave no orphan.
        #[arg(long, hide = true, requires = "config")]
        with_parent: bool,
    },
}

/// What `operator` is told.
#[derive(Args)]
pub(crate) struct OperatorArgs {
    /// A namespace to look after; may be given again. All without one.
    #[arg(long = "namespace", value_name = "NS")]
    pub(crate) namespaces: Vec<String>,
    /// The agents' image where an Ensemble has none in spec.image: the operator's own.
    #[arg(long, value_name = "IMAGE", default_value = concat!("streamkeeper:", env!("CARGO_PKG_VERSION")))]
    pub(crate) image: String,
    /// Where /livez, /readyz and /metrics are answered.
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:8080")]
    pub(crate) http: SocketAddr,
    /// The Lease that decides which of several operators acts; in the operator's namespace. One per installation.
    #[arg(long, value_name = "NAME", default_value = streamkeeper_operator::kubernetes::lease::LEASE)]
    pub(crate) lease: String,
}

/// How events are shown.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// One object per line.
    Json,
}

fn default_data() -> PathBuf {
    let base = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let base = base.or_else(|| std::env::home_dir().map(|home| home.join(".local/share")));
    base.unwrap_or_else(|| PathBuf::from(".")).join("streamkeeper")
}

/// `90`, `90s`, `5m`, `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a time; 90s, 5m or 1h are");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    let count: u64 = digits.parse().map_err(|_| wrong())?;
    count.checked_mul(unit).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_verbs_hang_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_have_units() {
        let seconds = |text| duration(text).map(|d| d.as_secs());
        assert_eq!((seconds("90"), seconds("5m"), seconds("1h")), (Ok(90), Ok(300), Ok(3600)));
        assert!(seconds("soon").is_err() && seconds("5d").is_err() && seconds("-1").is_err());
    }
}
