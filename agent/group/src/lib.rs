//! Group coordinator: members, assignment, offsets.
