//! Load generator for both protocols.
fn main() {}
