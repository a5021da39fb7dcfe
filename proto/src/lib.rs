//! The gRPC contract between operator and agents.
