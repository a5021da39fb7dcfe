//! Code generation, drift and tidy checks.

#![allow(clippy::print_stdout, reason = "a task speaks to its user")]

mod codegen;
mod tidy;

use std::path::Path;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Tasks of the workspace that cargo has no word for.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check what no compiler checks.
    Tidy,
    /// Write the Kafka codec from the schemas of the kafka-clients artifact.
    Codegen {
        /// Only compare; fail if what is committed differs.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    match Cli::parse().task {
        Task::Tidy => tidy::run(root),
        Task::Codegen { check } => codegen::run(root, check),
    }
}
