//! Links between agents: who dials whom, the greeting, reading frames.
//!
//! The greater id dials the smaller for quorum traffic, and the smaller the greater if it is missed for long: a member that was away
//! may not know who leads now. The leader of partitions dials its followers for replication.
//! Must not know: what a frame carries. Read first: [`Peers`], [`run`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use socket2::{SockRef, TcpKeepalive};
use streamkeeper_base::{ClusterId, Incarnation, MemberId, limits};
use streamkeeper_member::io::Link;
use streamkeeper_wire::peer::{self, Hello, LinkKind};
use tokio::net::TcpStream;

use super::hub::{Inbox, Local};
use super::outbox::Outbox;
use super::read::{read, read_greeting};

/// Bytes that may wait for one peer before its link is cut; it comes back and is brought up to date from the log.
const QUEUED_BYTES_MAX: usize = 256 * 1024 * 1024;
/// A first frame that is not whole with this many bytes is no greeting: a stranger must not make this agent collect more.
const HELLO_BYTES_MAX: usize = 64;
/// A greeting that takes longer is refused.
const GREETING_TIME_MAX: Duration = Duration::from_secs(3);
const RETRY_FIRST: Duration = Duration::from_millis(20);
const RETRY_MAX: Duration = Duration::from_millis(400);
/// A peer that cannot be reached for longer is told of, once.
const UNREACHED_TOLD_AFTER: Duration = Duration::from_secs(5);
/// A silent link is asked whether anybody is there after this time, and then this often.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(1));
/// A link whose peer's host does not answer for longer is cut: a pod that lost its node comes back with another address, and nobody ever
/// says on the old link that it has gone.
const UNANSWERED_MAX: Duration = Duration::from_secs(5);
/// How often a missed peer is looked for before it is dialled.
const PEER_MISSED_LOOKS: u32 = 2;

/// Who this agent is towards its peers.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) cluster: Belonging,
    pub(crate) member: MemberId,
    pub(crate) incarnation: Incarnation,
}

/// Which cluster this agent belongs to. A `zoo.cfg` names none: then the ensemble's own state tells it, once.
#[derive(Clone, Debug)]
pub(crate) struct Belonging {
    id: Arc<OnceLock<ClusterId>>,
    learned: bool,
}

impl Belonging {
    /// A cluster that the configuration names.
    pub(crate) fn given(cluster: ClusterId) -> Self {
        Self { id: Arc::new(OnceLock::from(cluster)), learned: false }
    }

    /// A cluster that the disk names, or [`ClusterId::ZERO`]: then it is yet to be learned.
    pub(crate) fn learned(cluster: ClusterId) -> Self {
        let id = if cluster.is_zero() { OnceLock::new() } else { OnceLock::from(cluster) };
        Self { id: Arc::new(id), learned: true }
    }

    /// The ensemble's state says which cluster it is; false if it is another one than before.
    pub(crate) fn learn(&self, cluster: ClusterId) -> bool {
        *self.id.get_or_init(|| cluster) == cluster
    }

    fn id(&self) -> ClusterId {
        self.id.get().copied().unwrap_or(ClusterId::ZERO)
    }

    /// A member that has yet to learn its cluster may talk to any: what it is told then decides.
    fn may_talk_to(&self, other: ClusterId) -> bool {
        let own = self.id();
        own == other || (self.learned && (own.is_zero() || other.is_zero()))
    }
}

/// Where the links of one machine go: addresses by peer, changed as members come and go.
pub(crate) struct Peers {
    identity: Identity,
    /// What this machine's dialled links are.
    outgoing: Link,
    inbox: Inbox,
    linked: Linked,
    dialled: RefCell<BTreeMap<MemberId, (String, tokio::task::JoinHandle<()>)>>,
}

impl Peers {
    pub(crate) fn new(identity: Identity, outgoing: Link, inbox: Inbox) -> Rc<Self> {
        Rc::new(Self { identity, outgoing, inbox, linked: Linked::default(), dialled: RefCell::default() })
    }

    /// Dials exactly these peers from now on; links to others are given up.
    pub(crate) fn set(&self, addresses: &BTreeMap<MemberId, String>) {
        let mut dialled = self.dialled.borrow_mut();
        dialled.retain(|peer, (address, task)| {
            let keep = addresses.get(peer) == Some(address);
            if !keep {
                task.abort();
            }
            keep
        });
        for (peer, address) in addresses {
            if *peer == self.identity.member || dialled.contains_key(peer) {
                continue;
            }
            let dial = Dial {
                identity: self.identity.clone(),
                peer: *peer,
                address: address.clone(),
                link: self.outgoing,
                inbox: self.inbox.clone(),
                linked: self.linked.clone(),
            };
            let task = tokio::task::spawn_local(dial.forever(self.dials(*peer)));
            dialled.insert(*peer, (address.clone(), task));
        }
    }

    /// The links that there are, to count those that peers dialled.
    pub(crate) fn linked(&self) -> Linked {
        self.linked.clone()
    }

    fn dials(&self, peer: MemberId) -> bool {
        match self.outgoing {
            Link::Quorum => self.identity.member > peer,
            Link::ReplicationOut | Link::ReplicationIn => true,
        }
    }
}

/// With whom there are links now, whoever dialled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Linked(Rc<RefCell<BTreeMap<MemberId, usize>>>);

impl Linked {
    /// Counts a link until the guard is dropped.
    pub(crate) fn with(&self, peer: MemberId) -> LinkedGuard {
        *self.0.borrow_mut().entry(peer).or_default() += 1;
        LinkedGuard { linked: self.clone(), peer }
    }

    fn has(&self, peer: MemberId) -> bool {
        self.0.borrow().contains_key(&peer)
    }

    /// Waits until there was no link with the peer for so long that it does not seem to come.
    async fn missed(&self, peer: MemberId) {
        let mut looks = 0;
        while looks < PEER_MISSED_LOOKS {
            tokio::time::sleep(limits::PEER_MISSED / PEER_MISSED_LOOKS).await;
            looks = if self.has(peer) { 0 } else { looks + 1 };
        }
    }
}

/// One link that is counted.
pub(crate) struct LinkedGuard {
    linked: Linked,
    peer: MemberId,
}

impl Drop for LinkedGuard {
    fn drop(&mut self) {
        let mut linked = self.linked.0.borrow_mut();
        match linked.get_mut(&self.peer) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(linked.remove(&self.peer)),
        }
    }
}

/// A link that is dialled from here.
struct Dial {
    identity: Identity,
    peer: MemberId,
    address: String,
    link: Link,
    inbox: Inbox,
    linked: Linked,
}

impl Dial {
    async fn forever(self, own_turn: bool) {
        let Self { identity, peer, address, link, inbox, linked } = self;
        let mut wait = RETRY_FIRST;
        let mut unreached = Unreached::default();
        loop {
            if !own_turn {
                linked.missed(peer).await;
            }
            match connect(&identity, peer, &address, link).await {
                Ok((stream, incarnation)) => {
                    wait = RETRY_FIRST;
                    unreached = Unreached::default();
                    let _linked = linked.with(peer);
                    run(stream, BytesMut::new(), Peer { member: peer, incarnation, link }, &inbox).await;
                }
                Err(reason) if unreached.is_news() => {
                    tracing::info!(%peer, address, reason, "a peer is not reached; it is dialled again and again");
                }
                Err(reason) => tracing::debug!(%peer, address, reason, "a link could not be opened"),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RETRY_MAX);
        }
    }
}

/// How long a peer is not reached, and whether that was told.
#[derive(Default)]
struct Unreached {
    since: Option<std::time::Instant>,
    is_told: bool,
}

impl Unreached {
    /// One more try failed; true once it is worth telling.
    fn is_news(&mut self) -> bool {
        let since = self.since.get_or_insert_with(std::time::Instant::now);
        since.elapsed() >= UNREACHED_TOLD_AFTER && !std::mem::replace(&mut self.is_told, true)
    }
}

/// The peer's name is resolved at each call: a pod has another address after each restart.
async fn connect(
    identity: &Identity,
    peer: MemberId,
    address: &str,
    link: Link,
) -> Result<(TcpStream, Incarnation), String> {
    let greeting = async {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        send_hello(&stream, identity, link).await?;
        let (hello, rest) = read_hello(&stream).await?;
        if !rest.is_empty() {
            return Err("the peer sent more than its greeting".to_owned());
        }
        check_hello(&hello, identity)?;
        if hello.member != peer {
            return Err(format!("{address} is member {}, not {peer}", hello.member));
        }
        Ok((stream, hello.incarnation))
    };
    tokio::time::timeout(GREETING_TIME_MAX, greeting)
        .await
        .map_err(|_| "the greeting timed out".to_owned())?
}

/// Who is at the other end of a link, as it greeted, and what the link is, seen from this side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) member: MemberId,
    pub(crate) incarnation: Incarnation,
    pub(crate) link: Link,
}

/// Answers the greeting of a peer that dialled us; the link is what the peer says it is.
pub(crate) async fn accept(
    stream: TcpStream,
    identity: &Identity,
) -> Result<(TcpStream, Peer, BytesMut), String> {
    let greeting = async {
        let (hello, rest) = read_hello(&stream).await?;
        check_hello(&hello, identity)?;
        let link = match hello.kind {
            LinkKind::Quorum => Link::Quorum,
            LinkKind::Replication => Link::ReplicationIn,
        };
        send_hello(&stream, identity, link).await?;
        Ok((Peer { member: hello.member, incarnation: hello.incarnation, link }, rest))
    };
    let (peer, rest) = tokio::time::timeout(GREETING_TIME_MAX, greeting)
        .await
        .map_err(|_| "the greeting timed out".to_owned())
        .and_then(|greeted: Result<_, String>| greeted)?;
    Ok((stream, peer, rest))
}

async fn send_hello(stream: &TcpStream, identity: &Identity, link: Link) -> Result<(), String> {
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let kind = match link {
        Link::Quorum => LinkKind::Quorum,
        Link::ReplicationOut | Link::ReplicationIn => LinkKind::Replication,
    };
    let hello = Hello {
        cluster: identity.cluster.id(),
        member: identity.member,
        incarnation: identity.incarnation,
        kind,
        shard: 0,
    };
    let mut frame = hello.encode();
    while !frame.is_empty() {
        stream.writable().await.map_err(|error| error.to_string())?;
        match stream.try_write(&frame) {
            Ok(written) => drop(frame.split_to(written)),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(())
}

async fn read_hello(stream: &TcpStream) -> Result<(Hello, BytesMut), String> {
    let mut buffer = BytesMut::new();
    loop {
        if let Some(frame) = peer::decode(&mut buffer).map_err(|error| error.to_string())? {
            let hello = Hello::decode(&frame).map_err(|error| error.to_string())?;
            return Ok((hello, buffer));
        }
        if buffer.len() > HELLO_BYTES_MAX {
            return Err("the first frame is too long to be a greeting".to_owned());
        }
        if !read_greeting(stream, &mut buffer).await.map_err(|error| error.to_string())? {
            return Err("the peer closed the connection instead of greeting".to_owned());
        }
    }
}

fn check_hello(hello: &Hello, identity: &Identity) -> Result<(), String> {
    if !identity.cluster.may_talk_to(hello.cluster) {
        return Err(format!(
            "member {} belongs to cluster {}, not {}",
            hello.member,
            hello.cluster,
            identity.cluster.id()
        ));
    }
    if hello.member == identity.member {
        return Err(format!("another agent says that it is member {}", hello.member));
    }
    Ok(())
}

/// Runs an open link until it breaks.
pub(crate) async fn run(stream: TcpStream, mut pending: BytesMut, peer: Peer, inbox: &Inbox) {
    let Peer { member: peer, incarnation, link } = peer;
    if let Err(error) = watch_over(&stream) {
        tracing::warn!(%peer, %error, "a link to a peer that is gone may stay for long");
    }
    let stream = Rc::new(stream);
    let outbox = Outbox::new(stream.clone(), QUEUED_BYTES_MAX, inbox.wake());
    let writer = tokio::task::spawn_local(outbox.clone().drain());
    let _guard = DownGuard { peer, link, outbox: outbox.clone(), inbox: inbox.clone() };
    inbox.push(Local::LinkUp { peer, incarnation, link, outbox: outbox.clone() });
    let cut = |bytes: &[u8]| {
        let mut taken = 0;
        while let Some((size, frame)) = peer::cut(&bytes[taken..])? {
            let (kind, body, outbox) = (frame.kind, frame.body, outbox.clone());
            outbox.read_one();
            inbox.push(Local::PeerFrame { peer, link, kind, body, outbox });
            taken += size;
        }
        Ok::<usize, peer::PeerError>(taken)
    };
    // The peer may have sent more behind its greeting.
    let mut result = cut(&pending).map(|taken| pending.advance(taken)).map(|()| true);
    while !writer.is_finished() && matches!(result, Ok(true)) {
        outbox.taken().await;
        result = read(&stream, &mut pending, cut).await;
    }
    if let Err(error) = result {
        tracing::warn!(%peer, ?link, %error, "a frame from a peer is damaged; the link is cut");
    }
}

/// Lets the kernel cut a link whose other side is gone without a word.
fn watch_over(stream: &TcpStream) -> std::io::Result<()> {
    let socket = SockRef::from(stream);
    let (idle, interval) = KEEPALIVE;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(idle).with_interval(interval))?;
    socket.set_tcp_user_timeout(Some(UNANSWERED_MAX))
}

/// Reports the end of a link however its task ends: by itself, or given up because the member is gone.
struct DownGuard {
    peer: MemberId,
    link: Link,
    outbox: Rc<Outbox>,
    inbox: Inbox,
}

impl Drop for DownGuard {
    fn drop(&mut self) {
        self.outbox.shut();
        self.inbox.push(Local::LinkDown { peer: self.peer, link: self.link, outbox: self.outbox.clone() });
    }
}
