//! Unpacking, a window at a time: what a bomb costs is time, and that is bounded, but no memory.
//!
//! Contexts and buffers are kept from one batch to the next. Must not know: records. Read first: [`Inflater::open`], [`Unpacked`].

use std::io::{self, Read};

use bytes::buf::Reader;
use bytes::{Buf, Bytes};
use flate2::bufread::GzDecoder;
use lz4_flex::frame::FrameDecoder;
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective, get_error_name};

use super::compression::Compression;
use super::source::{Fault, Source};

/// Bytes that are unpacked at once, but for snappy, whose blocks come whole.
const WINDOW_BYTES: usize = 64 * 1024;
/// Bytes that a context or buffer may hold on to between two batches.
const KEPT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The largest window of a zstd frame, as a power of two: what Kafka's clients and brokers unpack.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\0";
/// The magic, a version, and the oldest version that reads it.
const XERIAL_HEADER_BYTES: usize = 16;
/// A copy of three bytes gives 64 at most (snappy's format): what claims more is a lie that must not reserve memory.
const SNAPPY_RATIO_MAX: usize = 22;

const LZ4_MAGIC: u32 = 0x184D_2204;
const LZ4_INDEPENDENT: u8 = 0x20;
const LZ4_BLOCK_CHECKSUMS: u8 = 0x10;
const LZ4_CONTENT_SIZE: u8 = 0x08;
const LZ4_CONTENT_CHECKSUM: u8 = 0x04;
const LZ4_DICTIONARY: u8 = 0x01;

/// The codecs' contexts and buffers; one per thread.
#[derive(Default)]
pub(super) struct Inflater {
    window: Vec<u8>,
    gzip: Option<Box<GzDecoder<Reader<Bytes>>>>,
    zstd: Option<DCtx<'static>>,
}

impl Inflater {
    /// Begins to unpack `packed`; more than `bytes_max` bytes do not come out.
    pub(super) fn open(
        &mut self,
        compression: Compression,
        packed: &Bytes,
        bytes_max: u64,
    ) -> Result<Unpacked<'_>, Fault> {
        if self.window.len() < WINDOW_BYTES {
            self.window.resize(WINDOW_BYTES, 0);
        }
        let stream = match compression {
            Compression::None => Stream::Stored(packed.clone()),
            Compression::Gzip => {
                let gzip = match &mut self.gzip {
                    Some(gzip) => {
                        gzip.reset(packed.clone().reader());
                        gzip
                    }
                    none => none.insert(Box::new(GzDecoder::new(packed.clone().reader()))),
                };
                Stream::Gzip(gzip)
            }
            Compression::Snappy => Stream::Snappy(Snappy::new(packed.clone())),
            Compression::Lz4 => {
                check_lz4_frame(packed)?;
                Stream::Lz4(Box::new(FrameDecoder::new(packed.clone().reader())))
            }
            Compression::Zstd => Stream::Zstd(Zstd::new(&mut self.zstd, packed.clone())?),
        };
        Ok(Unpacked { window: &mut self.window, at: 0, end: 0, before: 0, bytes_max, stream })
    }
}

#[cfg(test)]
impl Inflater {
    /// Bytes that stay reserved between two batches.
    pub(super) fn bytes_kept(&self) -> usize {
        self.window.capacity() + self.zstd.as_ref().map_or(0, DCtx::sizeof)
    }
}

/// Bytes as they come out of a codec.
pub(super) struct Unpacked<'a> {
    window: &'a mut Vec<u8>,
    /// The part of the window that is still to be read.
    at: usize,
    end: usize,
    /// Bytes before the window.
    before: u64,
    bytes_max: u64,
    stream: Stream<'a>,
}

impl Unpacked<'_> {
    /// False if nothing more comes.
    fn refill(&mut self) -> Result<bool, Fault> {
        self.before += self.end as u64;
        (self.at, self.end) = (0, 0);
        let filled = self.stream.fill(self.window, self.bytes_max.saturating_sub(self.before))?;
        if self.before + filled as u64 > self.bytes_max {
            return Err(Fault::TooLong);
        }
        self.end = filled;
        Ok(filled > 0)
    }

    /// All that is left, as one piece.
    pub(super) fn collect(mut self) -> Result<Bytes, Fault> {
        let mut all = Vec::new();
        while self.at < self.end || self.refill()? {
            all.extend_from_slice(&self.window[self.at..self.end]);
            self.at = self.end;
        }
        Ok(Bytes::from(all))
    }
}

impl Drop for Unpacked<'_> {
    /// A large snappy block's room is given back.
    fn drop(&mut self) {
        if self.window.capacity() > KEPT_BYTES_MAX {
            *self.window = Vec::new();
        }
    }
}

impl Source for Unpacked<'_> {
    #[inline]
    fn byte(&mut self) -> Result<u8, Fault> {
        if self.at == self.end && !self.refill()? {
            return Err(Fault::Ended);
        }
        let byte = self.window[self.at];
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn pass(
        &mut self,
        mut bytes: u64,
        sink: &mut impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        while bytes > 0 {
            if self.at == self.end && !self.refill()? {
                return Err(Fault::Ended);
            }
            let piece = usize::try_from(bytes).unwrap_or(usize::MAX).min(self.end - self.at);
            sink(&self.window[self.at..self.at + piece])?;
            self.at += piece;
            bytes -= piece as u64;
        }
        Ok(())
    }

    #[inline]
    fn position(&self) -> u64 {
        self.before + self.at as u64
    }

    fn is_at_end(&mut self) -> Result<bool, Fault> {
        Ok(self.at == self.end && !self.refill()?)
    }
}

/// A codec in the middle of its work.
enum Stream<'a> {
    Stored(Bytes),
    Gzip(&'a mut GzDecoder<Reader<Bytes>>),
    Snappy(Snappy),
    Lz4(Box<FrameDecoder<Reader<Bytes>>>),
    Zstd(Zstd<'a>),
}

impl Stream<'_> {
    /// Puts the next bytes at the window's start; 0 at the end. What would have to be more than `bytes_max` at once is refused.
    fn fill(&mut self, window: &mut Vec<u8>, bytes_max: u64) -> io::Result<usize> {
        match self {
            Self::Stored(rest) => {
                let piece = rest.split_to(rest.len().min(window.len()));
                window[..piece.len()].copy_from_slice(&piece);
                Ok(piece.len())
            }
            Self::Gzip(decoder) => fill_from_gzip(decoder, window),
            Self::Snappy(snappy) => snappy.fill(window, bytes_max),
            Self::Lz4(decoder) => decoder.read(window),
            Self::Zstd(zstd) => zstd.fill(window),
        }
    }
}

/// A file of gzip is one or more members (RFC 1952).
fn fill_from_gzip(decoder: &mut GzDecoder<Reader<Bytes>>, window: &mut [u8]) -> io::Result<usize> {
    loop {
        let filled = decoder.read(window)?;
        let rest = decoder.get_ref().get_ref();
        if filled > 0 || rest.is_empty() {
            return Ok(filled);
        }
        let next = rest.clone().reader();
        decoder.reset(next);
    }
}

/// Frames of zstd, one behind another.
struct Zstd<'a> {
    /// There, until this is dropped.
    context: &'a mut Option<DCtx<'static>>,
    rest: Bytes,
    is_at_frame_end: bool,
}

impl<'a> Zstd<'a> {
    fn new(context: &'a mut Option<DCtx<'static>>, packed: Bytes) -> io::Result<Self> {
        if let Some(used) = context {
            // The parameter stays.
            used.reset(ResetDirective::SessionOnly).map_err(zstd_error)?;
        } else {
            let created = context.insert(DCtx::create());
            created.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX)).map_err(zstd_error)?;
        }
        Ok(Self { context, rest: packed, is_at_frame_end: false })
    }

    fn fill(&mut self, window: &mut [u8]) -> io::Result<usize> {
        let context = self.context.get_or_insert_with(DCtx::create);
        loop {
            if self.rest.is_empty() && self.is_at_frame_end {
                return Ok(0);
            }
            let mut input = InBuffer::around(&self.rest);
            let mut output = OutBuffer::around(window);
            let hint = context.decompress_stream(&mut output, &mut input).map_err(zstd_error)?;
            let (taken, filled) = (input.pos(), output.pos());
            self.rest.advance(taken);
            self.is_at_frame_end = hint == 0;
            if filled > 0 {
                return Ok(filled);
            }
            if taken == 0 && hint != 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

impl Drop for Zstd<'_> {
    /// A context keeps the window of the greediest frame it has seen.
    fn drop(&mut self) {
        if self.context.as_ref().is_some_and(|context| context.sizeof() > KEPT_BYTES_MAX) {
            *self.context = None;
        }
    }
}

fn zstd_error(code: usize) -> io::Error {
    invalid(get_error_name(code))
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Blocks in the framing of Java's snappy, or one block without any (rule 29).
struct Snappy {
    rest: Bytes,
    is_framed: bool,
    decoder: snap::raw::Decoder,
}

impl Snappy {
    fn new(packed: Bytes) -> Self {
        Self { is_framed: packed.starts_with(XERIAL_MAGIC), rest: packed, decoder: snap::raw::Decoder::new() }
    }

    fn fill(&mut self, window: &mut Vec<u8>, bytes_max: u64) -> io::Result<usize> {
        while !self.rest.is_empty() {
            let block = if self.is_framed { self.next_block()? } else { std::mem::take(&mut self.rest) };
            let claimed = snap::raw::decompress_len(&block).map_err(|_| invalid("a damaged snappy block"))?;
            if claimed > block.len().saturating_mul(SNAPPY_RATIO_MAX) {
                return Err(invalid("a snappy block claims more bytes than it can hold"));
            }
            if claimed as u64 > bytes_max {
                // A block comes whole: it must not have its room before its length is known to be allowed.
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            if window.len() < claimed {
                window.resize(claimed, 0);
            }
            let filled =
                self.decoder.decompress(&block, window).map_err(|_| invalid("a damaged snappy block"))?;
            if filled > 0 {
                return Ok(filled);
            }
        }
        Ok(0)
    }

    /// The next block of a framed stream. Streams may be put behind one another, heads and all.
    fn next_block(&mut self) -> io::Result<Bytes> {
        if self.rest.starts_with(XERIAL_MAGIC) {
            if self.rest.len() < XERIAL_HEADER_BYTES {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.rest.advance(XERIAL_HEADER_BYTES);
            if self.rest.is_empty() {
                // Nothing at all, as one block of no bytes.
                return Ok(Bytes::from_static(&[0]));
            }
        }
        let length = self.rest.try_get_i32().map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        let length = usize::try_from(length).map_err(|_| invalid("a snappy block of negative length"))?;
        if length > self.rest.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(self.rest.split_to(length))
    }
}

/// Holds an lz4 frame against what Java's clients read: one whole frame of independent blocks, without a dictionary.
///
/// The decoder takes a frame that is cut between two blocks for a whole one; those clients do not.
fn check_lz4_frame(packed: &[u8]) -> io::Result<()> {
    let mut rest = packed;
    let ended = |_| io::Error::from(io::ErrorKind::UnexpectedEof);
    if rest.try_get_u32_le().map_err(ended)? != LZ4_MAGIC {
        return Err(invalid("no lz4 frame"));
    }
    let (flags, _block_size) = (rest.try_get_u8().map_err(ended)?, rest.try_get_u8().map_err(ended)?);
    if flags & LZ4_INDEPENDENT == 0 || flags & LZ4_DICTIONARY != 0 {
        return Err(invalid("an lz4 frame whose blocks depend on one another or on a dictionary"));
    }
    let has = |flag: u8, bytes: usize| if flags & flag != 0 { bytes } else { 0 };
    let mut skip = has(LZ4_CONTENT_SIZE, 8) + 1;
    loop {
        if rest.len() < skip {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        rest.advance(skip);
        // The highest bit says that the block is not compressed.
        let length = rest.try_get_u32_le().map_err(ended)? & 0x7FFF_FFFF;
        if length == 0 {
            break;
        }
        skip = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(has(LZ4_BLOCK_CHECKSUMS, 4));
    }
    if rest.len() != has(LZ4_CONTENT_CHECKSUM, 4) {
        return Err(invalid("bytes behind an lz4 frame, or its checksum is missing"));
    }
    Ok(())
}
