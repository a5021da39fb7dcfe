//! One whole member without IO: coordination and broker composed from the cores.
