//! Tests of whole ensembles on a simulated network and disk.

mod chaos;
mod harness;
mod scenarios;
mod tickets;
