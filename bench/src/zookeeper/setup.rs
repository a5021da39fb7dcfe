//! What a run needs beforehand: its parent znode, keys to read and set, a parent per session for creates. And the count afterwards.
//!
//! Read first: [`Setup`].

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use streamkeeper_base::znode::{Acl, CreateMode, ErrorCode, Write};
use streamkeeper_wire::jute::{ConnectRequest, ConnectResponse, Read, Reader, ReplyHeader, Request};

/// The session timeout that is asked for.
pub(super) const SESSION_TIMEOUT_MS: i32 = 30_000;
/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Requests sent before their replies are read.
const PIPELINE: usize = 256;

/// A session for one batch of requests at a time.
pub(super) struct Setup {
    stream: TcpStream,
}

/// The first frame of a session.
pub(super) fn greeting(session: i64, password: &[u8; 16], last_zxid_seen: i64) -> Bytes {
    let request = ConnectRequest {
        last_zxid_seen,
        timeout_ms: SESSION_TIMEOUT_MS,
        session,
        password: Bytes::copy_from_slice(password),
        read_only: Some(false),
    };
    request.encode()
}

/// Creating a persistent node that everybody may use.
pub(super) fn create(path: String, data: &Bytes) -> Request {
    let mode = CreateMode::PERSISTENT;
    Request::Write(Write::Create {
        path,
        data: Some(data.clone()),
        acl: vec![Acl::open()],
        mode,
        with_stat: false,
    })
}

impl Setup {
    /// Opens a session at an address.
    pub(super) fn connect(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| address.to_owned())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let mut setup = Self { stream };
        setup.stream.write_all(&greeting(0, &[0; 16], 0))?;
        let answer = ConnectResponse::decode(setup.frame().with_context(|| address.to_owned())?)?;
        ensure!(answer.session != 0, "{address}: no session is granted");
        Ok(setup)
    }

    fn frame(&mut self) -> Result<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).context("the server closed the connection or is silent")?;
        let mut body = vec![0; usize::try_from(i32::from_be_bytes(length))?];
        self.stream.read_exact(&mut body)?;
        Ok(body.into())
    }

    /// Makes nodes that are not there yet.
    pub(super) fn make(&mut self, nodes: impl Iterator<Item = String>, data: &Bytes) -> Result<()> {
        let mut nodes = nodes.peekable();
        while nodes.peek().is_some() {
            let batch: Vec<Bytes> =
                nodes.by_ref().take(PIPELINE).map(|path| create(path, data).encode(1)).collect();
            self.stream.write_all(&batch.concat())?;
            for _ in &batch {
                let (header, _) = self.reply()?;
                if header.error != ErrorCode::OK && header.error != ErrorCode::NODE_EXISTS {
                    bail!("a node cannot be created: {:?}", header.error);
                }
            }
        }
        Ok(())
    }

    /// Waits until this member has everything that was committed.
    pub(super) fn sync(&mut self, path: &str) -> Result<()> {
        self.stream.write_all(&Request::Sync { path: path.to_owned() }.encode(1))?;
        let (header, _) = self.reply()?;
        ensure!(header.error == ErrorCode::OK, "sync: {:?}", header.error);
        Ok(())
    }

    /// All nodes below a path.
    pub(super) fn count_below(&mut self, path: &str) -> Result<u64> {
        let request = Request::Read(Read::GetAllChildrenNumber { path: path.to_owned() });
        self.stream.write_all(&request.encode(1))?;
        let (header, mut record) = self.reply()?;
        ensure!(header.error == ErrorCode::OK, "getAllChildrenNumber: {:?}", header.error);
        Ok(u64::try_from(record.i32()?)?)
    }

    fn reply(&mut self) -> Result<(ReplyHeader, Reader)> {
        let mut reader = Reader::new(self.frame()?);
        Ok((ReplyHeader::decode(&mut reader)?, reader))
    }
}
