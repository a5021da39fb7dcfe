//! The `streamkeeper` command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One binary instead of ZooKeeper, Kafka and their operators.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run one agent from its configuration file.
    Agent {
        /// The agent's configuration.
        #[arg(long)]
        config: PathBuf,
        /// Stop when standard input ends: set by a parent that must leave no orphan.
        #[arg(long, hide = true)]
        with_parent: bool,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.verb {
        Verb::Agent { config, with_parent } => agent(&config, with_parent),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("streamkeeper: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn agent(config: &std::path::Path, with_parent: bool) -> anyhow::Result<()> {
    let config = streamkeeper_node::compose::load(config)?;
    streamkeeper_node::run(&config, with_parent)
}
