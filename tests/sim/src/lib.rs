//! Whole-cluster simulator: one seed, one thread, whole members, real client bytes.
