//! Round trips and hostile bytes.

use bytes::{Bytes, BytesMut};
use streamkeeper_base::znode::{Acl, CreateMode, ErrorCode, Lifetime, Write};

use super::frame::{Unit, decode};
use super::{
    ConnectRequest, ConnectResponse, JuteError, Read, Reader, Reconfig, ReplyHeader, Request, RequestHeader,
    SetWatches,
};

fn body(frame: &Bytes) -> Bytes {
    frame.slice(4..)
}

#[test]
fn requests_read_back() {
    let create_as = |lifetime, sequential, with_stat| Write::Create {
        path: "/a".into(),
        data: None,
        acl: vec![Acl::open()],
        mode: CreateMode { lifetime, sequential },
        with_stat,
    };
    let create = |sequential| create_as(Lifetime::Ephemeral, sequential, sequential);
    let requests = [
        Request::Ping,
        Request::CloseSession,
        Request::Auth { scheme: "digest".into(), credentials: Bytes::from_static(b"u:p") },
        Request::Reconfig(Reconfig {
            joining: "server.1=h:1:2;3".into(),
            config_version: -1,
            ..Reconfig::default()
        }),
        Request::Sasl { token: Bytes::from_static(b"t") },
        Request::Sync { path: "/".into() },
        Request::Write(create(true)),
        Request::Write(create_as(Lifetime::Persistent, false, true)),
        Request::Write(create_as(Lifetime::Container, false, true)),
        Request::Write(create_as(Lifetime::Container, false, false)),
        Request::Write(create_as(Lifetime::Ttl(5), true, true)),
        Request::Write(Write::Multi(vec![
            create(false),
            Write::Check { path: "/a".into(), version: 3 },
            Write::SetData { path: "/a".into(), data: Some(Bytes::new()), version: -1 },
            Write::Delete { path: "/a".into(), version: 0 },
        ])),
        Request::Read(Read::GetChildren { path: "/".into(), watch: true, with_stat: true }),
        Request::Read(Read::Multi(vec![
            Read::GetData { path: "/a".into(), watch: false },
            Read::GetChildren { path: "/b".into(), watch: false, with_stat: false },
        ])),
        Request::Read(Read::SetWatches(SetWatches {
            relative_zxid: 7,
            data: vec!["/a".into()],
            recursive: vec!["/b".into()],
            ..SetWatches::default()
        })),
    ];
    for request in requests {
        let frame = request.encode(5);
        let mut reader = Reader::new(body(&frame));
        let header = RequestHeader::decode(&mut reader).expect("our own frame");
        assert_eq!(header.xid, 5);
        assert_eq!(Request::decode(header.op, &mut reader), Ok(request));
        assert!(reader.rest().is_empty());
    }
}

#[test]
fn the_read_only_field_is_optional() {
    for read_only in [None, Some(false), Some(true)] {
        let request = ConnectRequest {
            last_zxid_seen: 1,
            timeout_ms: 4000,
            session: 0,
            password: Bytes::from(vec![0; 16]),
            read_only,
        };
        let frame = request.encode();
        assert_eq!(frame.len(), 4 + 44 + usize::from(read_only.is_some()));
        assert_eq!(ConnectRequest::decode(body(&frame)), Ok(request));
        let response = ConnectResponse::expired(read_only);
        let frame = response.encode();
        assert_eq!(frame.len(), 4 + 36 + usize::from(read_only.is_some()));
        assert_eq!(ConnectResponse::decode(body(&frame)), Ok(response));
    }
}

#[test]
fn words_and_frames_are_cut_from_one_stream() {
    let mut buffer = BytesMut::from(&b"ruok\0\0\0\x02ab\0\0"[..]);
    assert_eq!(decode(&mut buffer), Ok(Some(Unit::Word(*b"ruok"))));
    assert_eq!(decode(&mut buffer), Ok(Some(Unit::Frame(Bytes::from_static(b"ab")))));
    assert_eq!(decode(&mut buffer), Ok(None));
    let mut buffer = BytesMut::from(&0x0010_0000_i32.to_be_bytes()[..]);
    assert_eq!(decode(&mut buffer), Err(JuteError::TooLong(0x0010_0000)));
    let mut buffer = BytesMut::from(&(-5_i32).to_be_bytes()[..]);
    assert_eq!(decode(&mut buffer), Err(JuteError::TooLong(-5)));
}

#[test]
fn internal_and_unknown_types_are_refused() {
    for op in [-10, -1, 20, 9999, 13] {
        let mut reader = Reader::new(Bytes::from(vec![0; 64]));
        assert_eq!(Request::decode(op, &mut reader), Err(JuteError::Unimplemented(op)));
    }
}

#[test]
fn forged_counts_are_errors() {
    let mut reader = Reader::new(Bytes::from_static(&[0x7F, 0xFF, 0xFF, 0xFF, 0, 0]));
    assert_eq!(reader.clone().string(), Err(JuteError::Length));
    assert_eq!(reader.vector(Reader::i32), Err(JuteError::Length));
}

#[test]
fn a_failed_reply_has_no_record() {
    let header = ReplyHeader { xid: 1, zxid: 2, error: ErrorCode::NO_NODE };
    let frame = header.frame(|_| panic!("no record is written"));
    assert_eq!(ReplyHeader::decode(&mut Reader::new(body(&frame))), Ok(header));
    assert_eq!(frame.len(), 4 + 16);
}
