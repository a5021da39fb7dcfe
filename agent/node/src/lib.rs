//! The shell: threads, sockets, timers, disk executors, gRPC and HTTP.
