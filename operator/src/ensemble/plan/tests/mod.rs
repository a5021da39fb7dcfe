//! Each rule by its own, and whole runs against a model of an ensemble.

mod cases;
mod model;
mod runs;
