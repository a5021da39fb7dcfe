//! Code generation, drift and tidy checks.
fn main() {}
