//! Client sockets: accept, cut the byte stream into frames, hand them to the machine of this thread.
//! Who sends nothing for too long is let go; who does not read what it is sent is not read from.
//!
//! Must not know: what a frame means. Read first: [`serve`].

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use streamkeeper_member::io::{ClientFrame, ConnectionId};
use tokio::net::{TcpListener, TcpStream};

use super::hub::{Inbox, Local};
use super::outbox::Outbox;
use super::read;

/// Bytes that may wait for one client before it is cut off.
const QUEUED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Cuts the next frame off the front of a byte stream, and gives the bytes it took; an error closes the connection and is logged.
pub(crate) type Decoder = fn(&[u8]) -> Result<Option<(usize, ClientFrame)>, String>;

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
    let mut pending = BytesMut::new();
    let patience = Cell::new(protocol.patience.first.or(protocol.patience.idle));
    let cut = |bytes: &[u8]| {
        let mut taken = 0;
        while let Some((size, frame)) = (protocol.decoder)(&bytes[taken..])? {
            patience.set(protocol.patience.idle);
            protocol.inbox.push(Local::ClientFrame { connection, frame });
            taken += size;
        }
        Ok::<usize, String>(taken)
    };
    loop {
        outbox.free().await;
        if !within(patience.get(), read::read(stream, &mut pending, cut)).await?? {
            return Ok(());
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
