//! The vocabulary every other crate shares: ids with their units, every limit, and time.
//!
//! Must not know: any protocol, any IO. Read first: [`id`], then [`limits`].
#![forbid(unsafe_code)]

pub mod address;
pub mod batch;
pub mod codec;
pub mod durable;
pub mod id;
pub mod limits;
pub mod piece;
pub mod plant;
pub mod random;
pub mod server_line;
pub mod time;
pub mod znode;

pub use address::Address;
pub use durable::Durable;
pub use id::*;
pub use piece::Piece;
pub use random::Random;
pub use server_line::ServerLine;
pub use time::{Instant, WallMillis};
