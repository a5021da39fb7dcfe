//! Load on Kafka's protocol. `admin` finds and makes topics, `batches` makes what is sent, `produce` and `consume` are the loads.

mod admin;
mod batches;
mod consume;
mod produce;

pub(crate) use consume::{Consume, ConsumeArgs};
pub(crate) use produce::{Produce, ProduceArgs};

use anyhow::{Result, bail};

/// The topic a run is about.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct TopicArgs {
    /// Addresses to begin with, HOST:PORT, separated by commas.
    #[arg(long, short)]
    pub(crate) bootstrap: String,
    /// The topic; it is made if it is missing.
    #[arg(long, default_value = "bench")]
    pub(crate) topic: String,
    /// Partitions of a topic that is made.
    #[arg(long, default_value_t = 1)]
    pub(crate) partitions: i32,
    /// Replicas of a topic that is made; -1 for the servers' default.
    #[arg(long, default_value_t = -1)]
    pub(crate) replication_factor: i16,
    /// A config of a topic that is made, KEY=VALUE; once per config.
    #[arg(long = "config", value_parser = key_value)]
    pub(crate) configs: Vec<(String, String)>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("KEY=VALUE is wanted")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Kafka's error number as an error of ours.
fn check(what: &str, code: i16) -> Result<()> {
    if code != 0 {
        bail!("{what}: Kafka's error {code}");
    }
    Ok(())
}
