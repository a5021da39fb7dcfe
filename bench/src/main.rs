//! A load generator for Kafka's and ZooKeeper's protocols: point it at any servers, get one table.
//!
//! Raw frames, one thread, one epoll, batches made beforehand: it must never be what is measured. It prints the CPU it used itself.
//! Read first: [`engine::Load`], [`measure::Measure`]; then `kafka` and `zookeeper`. `bench/run` runs it in pairs.

mod engine;
mod kafka;
mod measure;
mod process;
mod report;
mod schedule;
mod zookeeper;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Load for Kafka's and ZooKeeper's protocols, against any address.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    load: Loads,
    /// How the figures are shown.
    #[arg(short, long, value_enum, default_value_t = Output::Text, global = true)]
    output: Output,
    /// What the run is called in the output.
    #[arg(long, global = true)]
    name: Option<String>,
}

#[derive(Subcommand)]
enum Loads {
    /// Produce records over Kafka's protocol.
    Produce(Box<kafka::ProduceArgs>),
    /// Consume records over Kafka's protocol.
    Consume(Box<kafka::ConsumeArgs>),
    /// Create, set and read znodes over ZooKeeper's protocol.
    Znodes(Box<zookeeper::LoadArgs>),
}

/// How the figures are shown.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A table.
    Text,
    /// One object.
    Json,
}

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line speaks to its user")]
fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.load {
        Loads::Produce(args) => kafka::Produce::run(*args),
        Loads::Consume(args) => kafka::Consume::run(*args),
        Loads::Znodes(args) => zookeeper::Load::run(*args),
    };
    let shown = result.and_then(|mut summary| {
        summary.name = cli.name.unwrap_or(summary.name);
        match cli.output {
            Output::Text => Ok(report::text(&summary)),
            Output::Json => Ok(serde_json::to_string(&summary)?),
        }
    });
    match shown {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("streamkeeper-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
