//! Resources, validation, the plan and its status.
