//! The `streamkeeper` command line.
fn main() {}
