//! Packing records for topics whose `compression.type` is not `producer` (KIP-390's levels).
//!
//! Must not know: records. Read first: [`Packing`], [`Sink`].

use std::io::{self, Write};

use flate2::write::GzEncoder;

use super::compression::Compression;

/// Bytes of one block in Java's snappy framing, unpacked.
const SNAPPY_BLOCK_BYTES: usize = 32 * 1024;
/// Magic, version 1, readable by version 1.
const XERIAL_HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
/// At this level, the default, Kafka's lz4 is the fast one and not the thorough one.
const LZ4_FAST_LEVEL: i32 = 9;

/// How a topic wants its records packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    /// The codec.
    pub compression: Compression,
    /// Its level in Kafka's numbers; nothing to those that have none.
    pub level: i32,
}

impl Packing {
    /// A codec at Kafka's default level.
    pub fn default_of(compression: Compression) -> Self {
        let level = match compression {
            Compression::None | Compression::Snappy => 0,
            Compression::Gzip => -1,
            Compression::Lz4 => LZ4_FAST_LEVEL,
            Compression::Zstd => 3,
        };
        Self { compression, level }
    }
}

/// Bytes that end up in a vector of bounded length.
pub(super) struct Bounded {
    pub(super) bytes: Vec<u8>,
    pub(super) bytes_max: usize,
}

impl Write for Bounded {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if piece.len() > self.bytes_max.saturating_sub(self.bytes.len()) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A codec that packs into [`Bounded`].
pub(super) enum Sink {
    Stored(Bounded),
    Gzip(GzEncoder<Bounded>),
    Snappy(Box<Snappy>),
    Lz4(lz4::Encoder<Bounded>),
    Zstd(zstd::stream::write::Encoder<'static, Bounded>),
}

impl Sink {
    pub(super) fn new(packing: Packing, out: Bounded) -> io::Result<Self> {
        Ok(match packing.compression {
            Compression::None => Self::Stored(out),
            Compression::Gzip => {
                let level = u32::try_from(packing.level)
                    .map_or_else(|_| flate2::Compression::default(), flate2::Compression::new);
                Self::Gzip(GzEncoder::new(out, level))
            }
            Compression::Snappy => Self::Snappy(Box::new(Snappy::new(out)?)),
            Compression::Lz4 => {
                let level = if packing.level == LZ4_FAST_LEVEL { 0 } else { packing.level };
                let mut builder = lz4::EncoderBuilder::new();
                // What Java's clients read: independent blocks of 64 KiB.
                builder.block_mode(lz4::BlockMode::Independent).block_size(lz4::BlockSize::Max64KB);
                builder.checksum(lz4::ContentChecksum::NoChecksum).level(u32::try_from(level).unwrap_or(0));
                Self::Lz4(builder.build(out)?)
            }
            Compression::Zstd => Self::Zstd(zstd::stream::write::Encoder::new(out, packing.level)?),
        })
    }

    /// Everything, packed.
    pub(super) fn finish(self) -> io::Result<Bounded> {
        match self {
            Self::Stored(out) => Ok(out),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Snappy(snappy) => snappy.finish(),
            Self::Lz4(encoder) => {
                let (out, result) = encoder.finish();
                result.map(|()| out)
            }
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stored(out) => out.write(piece),
            Self::Gzip(encoder) => encoder.write(piece),
            Self::Snappy(snappy) => snappy.write(piece),
            Self::Lz4(encoder) => encoder.write(piece),
            Self::Zstd(encoder) => encoder.write(piece),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Java's framing of snappy.
pub(super) struct Snappy {
    out: Bounded,
    block: Vec<u8>,
    packed: Vec<u8>,
    encoder: snap::raw::Encoder,
}

impl Snappy {
    fn new(mut out: Bounded) -> io::Result<Self> {
        out.write_all(&XERIAL_HEADER)?;
        let packed = vec![0; snap::raw::max_compress_len(SNAPPY_BLOCK_BYTES)];
        Ok(Self {
            out,
            block: Vec::with_capacity(SNAPPY_BLOCK_BYTES),
            packed,
            encoder: snap::raw::Encoder::new(),
        })
    }

    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let taken = piece.len().min(SNAPPY_BLOCK_BYTES - self.block.len());
        self.block.extend_from_slice(&piece[..taken]);
        if self.block.len() == SNAPPY_BLOCK_BYTES {
            self.end_block()?;
        }
        Ok(taken)
    }

    fn end_block(&mut self) -> io::Result<()> {
        let length = self.encoder.compress(&self.block, &mut self.packed).map_err(io::Error::other)?;
        self.block.clear();
        self.out.write_all(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes())?;
        self.out.write_all(&self.packed[..length])
    }

    fn finish(mut self) -> io::Result<Bounded> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        Ok(self.out)
    }
}
