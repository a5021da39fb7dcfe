//! The shell: threads, sockets, timers. Carries out what the machines of `agent/member` ask for, and knows no protocol.
//!
//! Read first: [`hub::Hub`], [`commit`].

pub(crate) mod client;
pub(crate) mod clock;
pub(crate) mod commit;
pub(crate) mod hub;
pub(crate) mod link;
pub(crate) mod outbox;
pub(crate) mod peer_frame;
pub(crate) mod read;
pub(crate) mod scheduling;
