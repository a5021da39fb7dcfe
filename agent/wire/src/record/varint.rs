//! Zigzag numbers of variable length, as records have them (protobuf's encoding).
//!
//! A number that does not fit its type is refused, not cut: readers would not agree on what is left of it.

use bytes::{BufMut, BytesMut};

use super::source::{Fault, Flaw, Source};

/// Bytes that a number of 64 bits takes at most.
const VARLONG_BYTES_MAX: u32 = 10;

/// A number of 64 bits.
#[inline(always)]
pub(super) fn varlong(source: &mut impl Source) -> Result<i64, Fault> {
    let first = source.byte()?;
    // Nearly all are of one byte, most of the others of two.
    if first < 0x80 {
        return Ok(zigzag(u64::from(first)));
    }
    let second = source.byte()?;
    let value = u64::from(first & 0x7F) | u64::from(second & 0x7F) << 7;
    if second < 0x80 { Ok(zigzag(value)) } else { longer(source, value) }
}

/// The rest of a number whose first two bytes are in `value`.
#[inline(never)]
fn longer(source: &mut impl Source, mut value: u64) -> Result<i64, Fault> {
    for at in 2..VARLONG_BYTES_MAX {
        let byte = source.byte()?;
        if at == VARLONG_BYTES_MAX - 1 && byte > 1 {
            break;
        }
        value |= u64::from(byte & 0x7F) << (7 * at);
        if byte < 0x80 {
            return Ok(zigzag(value));
        }
    }
    Err(Fault::Malformed(Flaw::Number))
}

/// A number of 32 bits.
#[inline(always)]
pub(super) fn varint(source: &mut impl Source) -> Result<i32, Fault> {
    i32::try_from(varlong(source)?).map_err(|_| Fault::Malformed(Flaw::Number))
}

#[inline]
fn zigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// Writes a number.
pub(super) fn put_varlong(out: &mut BytesMut, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while zigzag >= 0x80 {
        out.put_u8((zigzag & 0x7F) as u8 | 0x80);
        zigzag >>= 7;
    }
    out.put_u8(zigzag as u8);
}

#[cfg(test)]
mod tests {
    use super::super::source::Plain;
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_written() {
        for value in [0, 1, -1, 63, 64, -64, -65, 1 << 40, i64::from(i32::MIN), i64::MAX, i64::MIN] {
            let mut out = BytesMut::new();
            put_varlong(&mut out, value);
            assert_eq!(varlong(&mut Plain::new(&out)).expect("a number"), value);
            assert_eq!(varint(&mut Plain::new(&out)).ok(), i32::try_from(value).ok());
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let too_long = [0xFF; 11];
        assert!(matches!(varlong(&mut Plain::new(&too_long)), Err(Fault::Malformed(_))));
        let too_great = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02];
        assert!(matches!(varlong(&mut Plain::new(&too_great)), Err(Fault::Malformed(_))));
        assert!(matches!(varint(&mut Plain::new(&[0xFF, 0xFF, 0xFF, 0xFF, 0x1F])), Err(Fault::Malformed(_))));
        assert!(matches!(varlong(&mut Plain::new(&[0x80, 0x80])), Err(Fault::Ended)));
    }
}
