//! Client sockets: accept, cut the byte stream into frames, hand them to the machine of this thread.
//! Who sends nothing for too long is let go; who does not read what it is sent is not read from.
//!
//! Must not know: what a frame means. Read first: [`serve`].

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use socket2::SockRef;
use streamkeeper_member::io::{ClientFrame, ConnectionId};
use tokio::net::{TcpListener, TcpStream};

use super::hub::{Inbox, Local};
use super::outbox::Outbox;
use super::read;

/// Bytes that may wait for one client before it is cut off.
const QUEUED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Bytes of a client's answers that the kernel takes at once (it doubles the figure, for its own needs). By itself it lets that grow to
/// megabytes, which are out of the processor's caches when the client takes them: consumers get a quarter less then. Kafka's
/// `socket.send.buffer.bytes` is 100 KiB; measured with `bench/run kafka --only consume`.
const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// How long a client's last requests may wait for their turn once it has closed its side.
const GONE_GRACE: Duration = Duration::from_secs(1);

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
    let buffer = SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER_BYTES);
    if buffer.and_then(|()| stream.set_nodelay(true)).is_err() {
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
            outbox.read_one();
            protocol.inbox.push(Local::ClientFrame { connection, frame });
            taken += size;
        }
        Ok::<usize, String>(taken)
    };
    loop {
        if outbox.is_held() && !within(patience.get(), held(stream, outbox)).await? {
            return Ok(());
        }
        if !within(patience.get(), read::read(stream, &mut pending, cut)).await?? {
            return Ok(());
        }
        outbox.taken().await;
    }
}

/// Waits while reading is held. False if the client has gone meanwhile: nobody reads its farewell, and its socket must not wait for ever.
async fn held(stream: &TcpStream, outbox: &Outbox) -> bool {
    let gone = async {
        read::closed(stream).await;
        // What it sent before it left may still count (acks=0).
        tokio::time::sleep(GONE_GRACE).await;
    };
    tokio::select! {
        biased;
        () = outbox.free() => true,
        () = gone => false,
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use bytes::Bytes;

    use super::*;

    /// Each byte is a frame.
    fn one_byte(bytes: &[u8]) -> Result<Option<(usize, ClientFrame)>, String> {
        Ok(bytes.first().map(|byte| (1, ClientFrame::Frame(Bytes::copy_from_slice(&[*byte])))))
    }

    /// Serves on a socket for as long as `test` takes, which gets the server's inbox and a client.
    fn serving<F: Future<Output = ()>>(
        patience: Patience,
        test: impl FnOnce(Inbox, std::net::TcpStream) -> F,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
            let client = std::net::TcpStream::connect(listener.local_addr().expect("an address"));
            let inbox = Inbox::new();
            let protocol = Protocol { decoder: one_byte, patience, inbox: inbox.clone() };
            tokio::task::spawn_local(serve(listener, protocol, Rc::default()));
            test(inbox, client.expect("a connection")).await;
        });
    }

    /// The next news of the only client, within a time that is far above every grace.
    async fn next(inbox: &Inbox) -> Local {
        let waited = tokio::time::timeout(Duration::from_secs(10), async {
            loop {
                let mut news = inbox.take();
                if let Some(first) = news.pop_front() {
                    assert!(news.is_empty(), "one at a time");
                    return first;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        waited.await.expect("news of the client")
    }

    /// A client that is held after its first frame.
    async fn hold(inbox: &Inbox, client: &mut std::net::TcpStream) -> Rc<Outbox> {
        let Local::ClientOpened { outbox, .. } = next(inbox).await else { panic!("it opens first") };
        client.write_all(b"a").expect("a frame");
        assert!(matches!(next(inbox).await, Local::ClientFrame { .. }));
        outbox.hold();
        outbox.took_one();
        outbox
    }

    /// Their sockets stayed in CLOSE_WAIT for as long as the hold took.
    #[test]
    fn a_held_client_that_goes_is_noticed_behind_unread_bytes() {
        serving(Patience::default(), async |inbox, mut client| {
            let _outbox = hold(&inbox, &mut client).await;
            client.write_all(b"unread").expect("more");
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert_eq!(inbox.len(), 0, "nothing is read while it is held");
            drop(client);
            assert!(matches!(next(&inbox).await, Local::ClientClosed { .. }));
        });
    }

    #[test]
    fn a_held_client_that_goes_is_served_if_its_turn_comes_soon() {
        serving(Patience::default(), async |inbox, mut client| {
            let outbox = hold(&inbox, &mut client).await;
            client.write_all(b"b").expect("a frame");
            drop(client);
            tokio::time::sleep(Duration::from_millis(50)).await;
            outbox.release();
            assert!(matches!(next(&inbox).await, Local::ClientFrame { .. }));
        });
    }

    #[test]
    fn a_client_is_held_no_longer_than_it_may_be_idle() {
        let patience = Patience { first: None, idle: Some(Duration::from_millis(50)) };
        serving(patience, async |inbox, mut client| {
            let _outbox = hold(&inbox, &mut client).await;
            assert!(matches!(next(&inbox).await, Local::ClientClosed { .. }));
        });
    }

    /// The queue grew by whatever a client sent while the hub was busy.
    #[test]
    fn no_more_waits_in_the_inbox_than_one_read_gives() {
        const SENT: usize = 3 << 20;
        serving(Patience::default(), async |inbox, mut client| {
            let Local::ClientOpened { outbox, .. } = next(&inbox).await else { panic!("it opens first") };
            let sender = std::thread::spawn(move || client.write_all(&vec![7; SENT]));
            let (mut frames, mut most) = (0, 0);
            while frames < SENT {
                tokio::time::sleep(Duration::from_millis(5)).await;
                most = most.max(inbox.len());
                for news in inbox.take() {
                    assert!(matches!(news, Local::ClientFrame { .. }));
                    outbox.took_one();
                    frames += 1;
                }
            }
            sender.join().expect("the sender's thread").expect("all is sent");
            assert!(most <= read::READ_BYTES, "{most} frames waited");
        });
    }
}
