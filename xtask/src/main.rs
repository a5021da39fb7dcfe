//! Code generation, drift and tidy checks.

#![allow(clippy::print_stdout, reason = "a task speaks to its user")]

mod codegen;
mod tidy;

use std::path::Path;

use anyhow::{Context, Result};
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
    // Not what was true when this was built: a target directory may serve several clones one after the other.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").context("run it with cargo run -p xtask")?;
    let root = Path::new(&manifest).parent().context("xtask lies in the workspace")?;
    match Cli::parse().task {
        Task::Tidy => tidy::run(root),
        Task::Codegen { check } => codegen::run(root, check),
    }
}
