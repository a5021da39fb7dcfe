//! The compressions of batches. A member inflates only to look inside, never to store.

use std::io::Read;

use bytes::Bytes;

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

const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\0";
const XERIAL_HEADER_BYTES: usize = 16;

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

    /// Unpacks, up to a bound; `None` if it is damaged or larger.
    pub fn inflate(self, packed: Bytes, bytes_max: usize) -> Option<Bytes> {
        match self {
            Self::None => Some(packed),
            Self::Gzip => read_bounded(flate2::read::MultiGzDecoder::new(&packed[..]), bytes_max),
            Self::Snappy => snappy(&packed, bytes_max),
            Self::Lz4 => read_bounded(lz4_flex::frame::FrameDecoder::new(&packed[..]), bytes_max),
            Self::Zstd => read_bounded(zstd::stream::read::Decoder::new(&packed[..]).ok()?, bytes_max),
        }
    }
}

fn read_bounded(reader: impl Read, bytes_max: usize) -> Option<Bytes> {
    let mut out = Vec::new();
    let limit = u64::try_from(bytes_max).ok()?;
    reader.take(limit + 1).read_to_end(&mut out).ok()?;
    (out.len() <= bytes_max).then(|| Bytes::from(out))
}

fn snappy(packed: &[u8], bytes_max: usize) -> Option<Bytes> {
    if !packed.starts_with(XERIAL_MAGIC) {
        return snappy_block(packed, bytes_max).map(Bytes::from);
    }
    let mut rest = packed.get(XERIAL_HEADER_BYTES..)?;
    let mut out = Vec::new();
    while let Some((head, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(i32::from_be_bytes(*head)).ok()?;
        let block = after.get(..length)?;
        out.extend(snappy_block(block, bytes_max.checked_sub(out.len())?)?);
        rest = &after[length..];
    }
    Some(Bytes::from(out))
}

fn snappy_block(block: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    let length = snap::raw::decompress_len(block).ok()?;
    // The length is a claim until the block proves it: it may not reserve more than the bound.
    if length > bytes_max {
        return None;
    }
    snap::raw::Decoder::new().decompress_vec(block).ok()
}
