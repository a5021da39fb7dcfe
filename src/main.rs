//! The `streamkeeper` command line: one file per verb, `up/` is the local substrate.

mod read;
mod up;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use streamkeeper_node::zoo_cfg;
use streamkeeper_operator::desired::Desired;
use streamkeeper_operator::{crd, manifest};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit status of wrong input.
const USAGE: u8 = 2;

/// One binary instead of ZooKeeper, Kafka and their operators.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run an ensemble and its topics on local processes, in the foreground.
    Up {
        /// Manifests; the quickstart when absent.
        #[arg(short, long = "file")]
        files: Vec<PathBuf>,
        /// Where everything durable lives.
        #[arg(long, default_value_os_t = default_data())]
        data: PathBuf,
        /// Take free ports instead of the fixed ones.
        #[arg(long)]
        any_port: bool,
        /// How events are shown.
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Change what a running `up` shall be.
    Apply {
        /// Manifests.
        #[arg(short, long = "file", required = true)]
        files: Vec<PathBuf>,
        /// The data directory of the running `up`.
        #[arg(long, default_value_os_t = default_data())]
        data: PathBuf,
    },
    /// Show what a running `up` has.
    Get {
        /// What.
        #[arg(value_enum)]
        what: What,
        /// The data directory of the running `up`.
        #[arg(long, default_value_os_t = default_data())]
        data: PathBuf,
        /// How it is shown.
        #[arg(short, long, value_enum, default_value_t = Shown::Table)]
        output: Shown,
    },
    /// Delete a topic and its data from a running `up`.
    Delete {
        /// `topic`.
        #[arg(value_parser = ["topic"])]
        kind: String,
        /// Its name.
        name: String,
        /// The data directory of the running `up`.
        #[arg(long, default_value_os_t = default_data())]
        data: PathBuf,
    },
    /// One word, then the reasons; exit 0 healthy, 1 failed, 3 degraded.
    Status {
        /// The data directory of the running `up`.
        #[arg(long, default_value_os_t = default_data())]
        data: PathBuf,
    },
    /// Check manifests without running anything.
    Validate {
        /// Manifests.
        #[arg(short, long = "file", required = true)]
        files: Vec<PathBuf>,
    },
    /// Print the definitions of the resources, for `kubectl apply -f -`.
    Crds,
    /// Run one agent from its configuration file, or a member of a ZooKeeper ensemble from a `zoo.cfg`.
    #[command(group(clap::ArgGroup::new("from").required(true)))]
    Agent {
        /// The agent's configuration.
        #[arg(long, group = "from")]
        config: Option<PathBuf>,
        /// ZooKeeper's own configuration, unmodified; the member serves ZooKeeper's clients alone.
        #[arg(long, group = "from", value_name = "FILE")]
        zoo_cfg: Option<PathBuf>,
        /// A system property of ZooKeeper's, such as zookeeper.snapCount=100000.
        #[arg(short = 'D', value_name = "NAME=VALUE", requires = "zoo_cfg")]
        properties: Vec<String>,
        /// Stop when standard input ends: set by a parent that must leave no orphan.
        #[arg(long, hide = true)]
        with_parent: bool,
    },
}

/// How events are shown.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// One object per line.
    Json,
}

/// How a listing is shown.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shown {
    /// Columns.
    Table,
    /// One array.
    Json,
}

/// What `get` lists.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// The agents.
    Members,
    /// The topics.
    Topics,
    /// The ensemble.
    Ensembles,
}

fn default_data() -> PathBuf {
    let base = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let base = base.or_else(|| std::env::home_dir().map(|home| home.join(".local/share")));
    base.unwrap_or_else(|| PathBuf::from(".")).join("streamkeeper")
}

fn main() -> ExitCode {
    let result = match Cli::parse().verb {
        Verb::Up { files, data, any_port, output } => {
            up::run(&files, &data, any_port, output == Output::Json)
        }
        Verb::Apply { files, data } => up::apply(&files, &data),
        Verb::Get { what, data, output } => {
            read::get(what, &data, output == Shown::Json).map(|()| ExitCode::SUCCESS)
        }
        Verb::Delete { name, data, .. } => up::delete_topic(&data, &name).map(|()| ExitCode::SUCCESS),
        Verb::Status { data } => read::status(&data),
        Verb::Validate { files } => match desired(&files, None) {
            Ok(desired) => {
                read::say(&format!("{} topics for Ensemble {}: valid", desired.topics.len(), desired.name));
                Ok(ExitCode::SUCCESS)
            }
            Err(status) => Ok(status),
        },
        Verb::Crds => crds().map(|()| ExitCode::SUCCESS),
        Verb::Agent { zoo_cfg: Some(file), properties, .. } => match zoo_cfg::load(&file, &properties) {
            Ok(cfg) => zoo_member(&cfg).map(|()| ExitCode::SUCCESS),
            Err(errors) => {
                errors.iter().for_each(|error| complain(error));
                return ExitCode::from(USAGE);
            }
        },
        Verb::Agent { config, with_parent, .. } => {
            agent(&config.unwrap_or_default(), with_parent).map(|()| ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|error| {
        complain(&format!("{error:#}"));
        ExitCode::FAILURE
    })
}

/// The quickstart that is used without manifests.
const QUICKSTART: &str = include_str!("../examples/quickstart.yaml");

/// What is wanted with these files beside what was wanted before; the quickstart without both. Mistakes are said here.
fn desired(files: &[PathBuf], current: Option<&Desired>) -> Result<Desired, ExitCode> {
    let read = match (files, current) {
        ([], Some(current)) => Ok(current.clone()),
        ([], None) => manifest::parse(&[(PathBuf::from("quickstart"), QUICKSTART.to_owned())], None),
        (files, current) => manifest::load(files, current),
    };
    read.map_err(|errors| {
        errors.iter().for_each(|error| complain(&error.to_string()));
        ExitCode::from(USAGE)
    })
}

#[allow(clippy::print_stderr, reason = "the command line speaks to its user")]
fn complain(text: &str) {
    eprintln!("streamkeeper: {text}");
}

fn zoo_member(cfg: &zoo_cfg::ZooCfg) -> anyhow::Result<()> {
    streamkeeper_node::compose::init_logs(None)?;
    streamkeeper_node::zoo::run(cfg)
}

fn crds() -> anyhow::Result<()> {
    for definition in crd::definitions() {
        read::say("---");
        read::say(crd::to_yaml(&definition)?.trim_end());
    }
    Ok(())
}

fn agent(config: &std::path::Path, with_parent: bool) -> anyhow::Result<()> {
    let config = streamkeeper_node::compose::load(config)?;
    streamkeeper_node::run(&config, with_parent)
}
