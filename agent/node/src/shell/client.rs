//! Client sockets: accept, cut the byte stream into frames, hand them to the machine of this thread.
//! Who sends nothing for too long is let go; who does not read what it is sent is not read from.
//!
//! Must not know: what a frame means. Read first: [`serve`].

use std::cell::Cell;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use streamkeeper_member::io::{ClientFrame, ConnectionId};
use tokio::net::{TcpListener, TcpStream};

use super::hub::{Inbox, Local};
use super::outbox::Outbox;

/// Bytes read from a socket at once.
const READ_BYTES: usize = 64 * 1024;
/// Bytes that may wait for one client before it is cut off.
const QUEUED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Cuts the next frame off the front of a byte stream; an error closes the connection and is logged.
pub(crate) type Decoder = fn(&mut BytesMut) -> Result<Option<ClientFrame>, String>;

/// How long a client may be silent; `None` for ever.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Patience {
    /// Until its first frame.
    pub(crate) first: Option<Duration>,
    /// Between two pieces of what it sends.
    pub(crate) idle: Option<Duration>,
}

/// What a listener's connections have in common.
#[derive(Clone)]
pub(crate) struct Protocol {
    pub(crate) decoder: Decoder,
    pub(crate) patience: Patience,
    pub(crate) inbox: Inbox,
}

/// Accepts clients until the listener's runtime ends.
pub(crate) async fn serve(listener: TcpListener, protocol: Protocol, next: Rc<Cell<u64>>) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                let connection = ConnectionId(next.get());
                next.set(connection.0 + 1);
                tokio::task::spawn_local(run(stream, remote.ip(), connection, protocol.clone()));
            }
            Err(error) => {
                // Out of file descriptors, most often: wait until some close instead of spinning.
                tracing::warn!(%error, "accepting a client failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn run(stream: TcpStream, remote: IpAddr, connection: ConnectionId, protocol: Protocol) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let stream = Rc::new(stream);
    let inbox = protocol.inbox.clone();
    let outbox = Outbox::new(stream.clone(), QUEUED_BYTES_MAX, inbox.wake());
    let writer = tokio::task::spawn_local(outbox.clone().drain());
    inbox.push(Local::ClientOpened { connection, remote, outbox: outbox.clone() });
    if let Err(reason) = read(&stream, connection, &protocol, &outbox).await {
        tracing::info!(%remote, connection = connection.0, reason, "a client's connection is closed");
    }
    outbox.shut();
    inbox.push(Local::ClientClosed { connection });
    // The writer ends by itself once the outbox is shut.
    let _ = writer.await;
}

async fn read(
    stream: &TcpStream,
    connection: ConnectionId,
    protocol: &Protocol,
    outbox: &Outbox,
) -> Result<(), String> {
    let mut buffer = BytesMut::new();
    let mut patience = protocol.patience.first.or(protocol.patience.idle);
    loop {
        outbox.free().await;
        if !within(patience, fill(stream, &mut buffer)).await?.unwrap_or(false) {
            return Ok(());
        }
        while let Some(frame) = (protocol.decoder)(&mut buffer)? {
            patience = protocol.patience.idle;
            outbox.free().await;
            protocol.inbox.push(Local::ClientFrame { connection, frame });
        }
        if buffer.is_empty() {
            // An idle connection holds no buffer.
            buffer = BytesMut::new();
        }
        tokio::task::yield_now().await;
    }
}

async fn within<T>(patience: Option<Duration>, what: impl Future<Output = T>) -> Result<T, String> {
    match patience {
        None => Ok(what.await),
        Some(time) => tokio::time::timeout(time, what)
            .await
            .map_err(|_| format!("nothing came for {} s", time.as_secs())),
    }
}

/// Waits for bytes and appends them; false at the end of the stream.
pub(crate) async fn fill(stream: &TcpStream, buffer: &mut BytesMut) -> io::Result<bool> {
    loop {
        stream.readable().await?;
        buffer.reserve(READ_BYTES);
        match stream.try_read_buf(buffer) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
