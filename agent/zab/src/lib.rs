//! Zab: atomic broadcast of opaque transactions, as a pure state machine.
