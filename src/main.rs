//! The `streamkeeper` command line: one file per verb, `up/` is the local substrate, `kubectl/` the same binary as kubectl's plugin.

mod apply;
mod cli;
mod describe;
mod get;
mod kubectl;
mod look;
mod operator;
mod page;
mod ready;
mod status;
mod status_file;
mod terminal;
mod up;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use streamkeeper_node::zoo_cfg;
use streamkeeper_operator::desired::Desired;
use streamkeeper_operator::{crd, manifest};

use cli::{Cli, Output, Verb};
use terminal::{complain, say};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit status of wrong input.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    if kubectl::is_called(std::env::args_os().next().as_deref()) {
        return kubectl::main();
    }
    stay_small();
    run(Cli::parse().verb).unwrap_or_else(|error| {
        complain(&format!("{error:#}"));
        ExitCode::FAILURE
    })
}

/// The allocator asks for huge pages of 2 MiB, of which an idle agent uses a few KiB each: 28 MiB resident instead of 4. The first
/// pages are there before `main`, but the agents that `up` starts inherit the setting.
fn stay_small() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        complain(&format!("transparent huge pages stay on, and more memory is held: {error}"));
    }
}

fn run(verb: Verb) -> anyhow::Result<ExitCode> {
    let done = |()| ExitCode::SUCCESS;
    match verb {
        Verb::Up { files, data, any_port, output } => {
            up::run(&files, &data, any_port, output == Output::Json)
        }
        Verb::Apply { files, wait, timeout, dry_run, data } => {
            apply::apply(&files, &data.data, apply::Options { dry_run, wait, timeout })
        }
        Verb::Get { what, name, output, data } => {
            get::get(what, name.as_deref(), &data.data, output).map(done)
        }
        Verb::Describe { what, name, output, data } => {
            describe::describe(what, &name, &data.data, output).map(done)
        }
        Verb::Delete { name, dry_run, data, .. } => apply::delete_topic(&data.data, &name, dry_run).map(done),
        Verb::Status { data } => status::status(&data.data),
        Verb::Validate { files } => Ok(match desired(&files, None) {
            Ok(desired) => {
                say(&format!("valid: Ensemble {}, {} topics", desired.name, desired.topics.len()));
                ExitCode::SUCCESS
            }
            Err(status) => status,
        }),
        Verb::Operator(args) => operator::run(args).map(done),
        Verb::Crds => crds().map(done),
        Verb::Ready { address, timeout } => ready::ready(&address, timeout).map(done),
        Verb::Agent { zoo_cfg: Some(file), properties, .. } => match zoo_cfg::load(&file, &properties) {
            Ok(cfg) => zoo_member(&cfg).map(done),
            Err(errors) => {
                errors.iter().for_each(|error| complain(error));
                Ok(ExitCode::from(USAGE))
            }
        },
        Verb::Agent { pod: Some(dir), .. } => Ok(streamkeeper_node::pod::run(&dir)),
        Verb::Agent { config, with_parent, .. } => agent(&config.unwrap_or_default(), with_parent).map(done),
    }
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

fn zoo_member(cfg: &zoo_cfg::ZooCfg) -> anyhow::Result<()> {
    streamkeeper_node::logs::init(None)?;
    streamkeeper_node::zoo::run(cfg)
}

fn crds() -> anyhow::Result<()> {
    for definition in crd::definitions() {
        say("---");
        say(crd::to_yaml(&definition)?.trim_end());
    }
    Ok(())
}

fn agent(config: &std::path::Path, with_parent: bool) -> anyhow::Result<()> {
    let config = streamkeeper_node::compose::load(config)?;
    streamkeeper_node::run(&config, with_parent)
}
