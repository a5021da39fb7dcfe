//! The compressions of batches: their codes in a batch's attributes, their names in configs.
//!
//! Must not know: how they work, see `inflate` and `deflate`.

/// How a batch's records are packed (attributes, bits 0 to 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// snappy, in Java's block framing or raw.
    Snappy,
    /// The lz4 frame format.
    Lz4,
    /// zstd.
    Zstd,
}

impl Compression {
    /// What the attributes say; `None` for a code that does not exist.
    pub fn of(attributes: i16) -> Option<Self> {
        Some(match attributes & 7 {
            0 => Self::None,
            1 => Self::Gzip,
            2 => Self::Snappy,
            3 => Self::Lz4,
            4 => Self::Zstd,
            _ => return None,
        })
    }

    /// Its code in the attributes.
    pub fn code(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// Its name in `compression.type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "uncompressed",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The one that `compression.type` names; `None` for `producer` and whatever else is none.
    pub fn named(name: &str) -> Option<Self> {
        [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd].into_iter().find(|c| c.name() == name)
    }
}
