//! Load on ZooKeeper's protocol. `setup` makes the znodes, `session` speaks for one client, `load` decides who does what when.

mod load;
mod session;
mod setup;

pub(crate) use load::{Load, LoadArgs};
