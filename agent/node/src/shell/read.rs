//! Bytes off sockets: one buffer per thread, so that an idle connection holds none, and frames copied out of it one by one, so that
//! what is kept of a frame keeps nothing else.
//!
//! Must not know: what a frame is. Read first: [`read`].

use std::cell::RefCell;
use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Bytes read from a socket at once.
pub(crate) const READ_BYTES: usize = 256 * 1024;
/// Bytes read at once while a peer greets.
const GREETING_BYTES: usize = 512;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// Waits for bytes and lets `take` cut whole frames off their front: it gives how many bytes it took. What is left over waits in
/// `pending` for the rest of its frame. False at the end of the stream, whatever ended it.
///
/// # Errors
/// As `take`.
pub(crate) async fn read<E>(
    stream: &TcpStream,
    pending: &mut BytesMut,
    mut take: impl FnMut(&[u8]) -> Result<usize, E>,
) -> Result<bool, E> {
    loop {
        if stream.readable().await.is_err() {
            return Ok(false);
        }
        let goes_on = SCRATCH.with_borrow_mut(|scratch| match stream.try_read(scratch) {
            Ok(0) => Ok(Some(false)),
            Ok(count) => take_from(&scratch[..count], pending, &mut take).map(|()| Some(true)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(_) => Ok(Some(false)),
        })?;
        if let Some(goes_on) = goes_on {
            return Ok(goes_on);
        }
    }
}

fn take_from<E>(
    bytes: &[u8],
    pending: &mut BytesMut,
    take: &mut impl FnMut(&[u8]) -> Result<usize, E>,
) -> Result<(), E> {
    if pending.is_empty() {
        let taken = take(bytes)?;
        pending.extend_from_slice(&bytes[taken..]);
        return Ok(());
    }
    pending.extend_from_slice(bytes);
    let taken = take(pending)?;
    pending.advance(taken);
    if pending.is_empty() {
        // Room that a large frame needed is given back.
        *pending = BytesMut::new();
    }
    Ok(())
}

/// Waits until the other side has closed or reset the connection, whether or not bytes wait that nobody reads.
pub(crate) async fn closed(stream: &TcpStream) {
    // Out-of-band bytes are not registered for, so that this wakes for the hang-up alone and does not spin while bytes wait.
    // An error says that the driver is gone, and with it every connection.
    let _ = stream.ready(Interest::PRIORITY).await;
}

/// Waits for bytes of a greeting and appends them; false at the end of the stream.
pub(crate) async fn read_greeting(stream: &TcpStream, buffer: &mut BytesMut) -> io::Result<bool> {
    loop {
        stream.readable().await?;
        buffer.reserve(GREETING_BYTES);
        match stream.try_read_buf(buffer) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of one length byte and that many more.
    fn frames(bytes: &[u8], seen: &mut Vec<Vec<u8>>) -> Result<usize, String> {
        let mut taken = 0;
        while let Some((length, rest)) = bytes[taken..].split_first()
            && let Some(body) = rest.get(..usize::from(*length))
        {
            if body.contains(&0) {
                return Err("a zero".to_owned());
            }
            seen.push(body.to_vec());
            taken += 1 + body.len();
        }
        Ok(taken)
    }

    #[test]
    fn frames_are_cut_wherever_the_stream_is_split() {
        let stream = [3, 1, 2, 3, 1, 9, 2, 7, 7];
        for split in 0..=stream.len() {
            let (mut pending, mut seen) = (BytesMut::new(), Vec::new());
            for part in [&stream[..split], &stream[split..]] {
                take_from(part, &mut pending, &mut |bytes: &[u8]| frames(bytes, &mut seen))
                    .expect("good frames");
            }
            assert_eq!(seen, [vec![1, 2, 3], vec![9], vec![7, 7]], "split at {split}");
            assert!(pending.is_empty());
        }
    }

    #[test]
    fn a_bad_frame_is_an_error() {
        let (mut pending, mut seen) = (BytesMut::new(), Vec::new());
        let result = take_from(&[1, 0], &mut pending, &mut |bytes: &[u8]| frames(bytes, &mut seen));
        assert_eq!(result, Err("a zero".to_owned()));
    }
}
