//! The semantics that clients rely on, one test each; the numbers are the order of ZooKeeper's documented behaviour.

use bytes::{Bytes, BytesMut};
use streamkeeper_base::znode::{Acl, CreateMode, ErrorCode, EventKind, Identity, Lifetime, Write, perms};
use streamkeeper_base::{Random, SessionId, WallMillis, ZabEpoch, Zxid};

use crate::{Applied, Outcome, Prep, Tree, Txn, authenticate};

const ME: SessionId = SessionId(0x0100_0000_0000_0001);

struct World {
    tree: Tree,
    prep: Prep,
    zxid: Zxid,
    /// Prepared, not applied.
    queue: Vec<(Zxid, Txn)>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            tree: Tree::new(),
            prep: Prep::new(true),
            zxid: Zxid::new(ZabEpoch(1), 0),
            queue: Vec::new(),
        };
        world.zxid = world.zxid.next();
        world.tree.apply(world.zxid, WallMillis(1), &Txn::CreateSession { session: ME, timeout_ms: 1000 });
        world
    }

    fn prepare(&mut self, who: &[Identity], write: &Write) -> Result<Zxid, Vec<ErrorCode>> {
        let prepared = self.prep.write(&self.tree, ME, who, write)?;
        self.zxid = self.zxid.next();
        self.queue.push((self.zxid, prepared.txn.clone()));
        self.prep.proposed(prepared, self.zxid);
        Ok(self.zxid)
    }

    fn settle(&mut self) -> Vec<Applied> {
        let mut applied = Vec::new();
        for (zxid, txn) in std::mem::take(&mut self.queue) {
            let mut bytes = BytesMut::new();
            txn.encode(&mut bytes);
            let txn = Txn::decode(&mut bytes.freeze()).expect("our own transaction");
            applied.push(self.tree.apply(zxid, WallMillis(zxid.counter() as i64), &txn));
            self.prep.applied(zxid);
        }
        assert_eq!(self.prep.outstanding(), 0);
        applied
    }

    fn run(&mut self, write: &Write) -> Result<Applied, Vec<ErrorCode>> {
        self.prepare(&[], write)?;
        Ok(self.settle().remove(0))
    }
}

fn create(path: &str) -> Write {
    create_as(path, false, false)
}

fn create_as(path: &str, ephemeral: bool, sequential: bool) -> Write {
    create_for(path, if ephemeral { Lifetime::Ephemeral } else { Lifetime::Persistent }, sequential)
}

fn create_for(path: &str, lifetime: Lifetime, sequential: bool) -> Write {
    Write::Create {
        path: path.to_owned(),
        data: Some(Bytes::from_static(b"x")),
        acl: vec![Acl::open()],
        mode: CreateMode { lifetime, sequential },
        with_stat: false,
    }
}

fn delete(path: &str) -> Write {
    Write::Delete { path: path.to_owned(), version: -1 }
}

fn set(path: &str, version: i32) -> Write {
    Write::SetData { path: path.to_owned(), data: None, version }
}

fn created(applied: &Applied) -> &str {
    match &applied.outcome {
        Outcome::Created { path, .. } => path,
        other => panic!("{other:?}"),
    }
}

#[test] // 13: cversion on the wire is 2 x creates - children; 15: pzxid moves with children only
fn children_count_in_cversion_and_pzxid() {
    let mut world = World::new();
    world.run(&create("/a")).expect("good");
    world.run(&create("/a/b")).expect("good");
    let second = world.run(&create("/a/c")).expect("good");
    let stat = world.tree.stat("/a").expect("there");
    assert_eq!((stat.cversion, stat.num_children), (2, 2));
    let Outcome::Created { stat: child, .. } = second.outcome else { panic!("a create") };
    assert_eq!(stat.pzxid, child.czxid);
    world.run(&set("/a/b", -1)).expect("good");
    assert_eq!(world.tree.stat("/a"), Some(stat), "a child's data does not touch its parent");
    world.run(&delete("/a/c")).expect("good");
    let after = world.tree.stat("/a").expect("there");
    assert_eq!((after.cversion, after.num_children), (3, 1));
    assert!(after.pzxid > stat.pzxid, "a delete moves pzxid");
}

#[test] // 14: the suffix counts non-sequential creates as well and is never reused
fn sequence_numbers_are_the_parents_creates() {
    let mut world = World::new();
    world.run(&create("/q")).expect("good");
    assert_eq!(created(&world.run(&create_as("/q/n-", false, true)).expect("good")), "/q/n-0000000000");
    world.run(&create("/q/other")).expect("good");
    world.run(&delete("/q/n-0000000000")).expect("good");
    assert_eq!(created(&world.run(&create_as("/q/n-", false, true)).expect("good")), "/q/n-0000000002");
    assert_eq!(created(&world.run(&create_as("/q/", false, true)).expect("good")), "/q/0000000003");
}

#[test] // 16: versions
fn versions_are_checked_and_skip_minus_one() {
    let mut world = World::new();
    world.run(&create("/a")).expect("good");
    assert_eq!(world.run(&set("/a", 1)), Err(vec![ErrorCode::BAD_VERSION]));
    world.run(&set("/a", 0)).expect("good");
    world.run(&set("/a", 1)).expect("good");
    assert_eq!(world.tree.stat("/a").expect("there").version, 2);
    world.tree.apply(world.zxid, WallMillis(0), &Txn::SetData { path: "/a".into(), data: None, version: -2 });
    world.run(&set("/a", -1)).expect("good");
    assert_eq!(world.tree.stat("/a").expect("there").version, 0);
}

#[test] // 17, 19, 20 and the reserved nodes
fn rules_of_create_and_delete() {
    let mut world = World::new();
    let cases = [
        (create("/"), ErrorCode::NODE_EXISTS),
        (create("/a/"), ErrorCode::BAD_ARGUMENTS),
        (create("/x/y"), ErrorCode::NO_NODE),
        (delete("/x"), ErrorCode::NO_NODE),
        (delete("/"), ErrorCode::BAD_ARGUMENTS),
        (delete("/zookeeper/config"), ErrorCode::BAD_ARGUMENTS),
        (set("x", -1), ErrorCode::BAD_ARGUMENTS),
        (set("/zookeeper/config", -1), ErrorCode::NO_AUTH),
    ];
    for (write, code) in cases {
        assert_eq!(world.run(&write), Err(vec![code]), "{write:?}");
    }
    world.run(&create_as("/e", true, false)).expect("good");
    assert_eq!(world.run(&create("/e/c")), Err(vec![ErrorCode::NO_CHILDREN_FOR_EPHEMERALS]));
    assert_eq!(world.tree.stat("/e").expect("there").ephemeral_owner, ME.0);
    world.run(&create("/p")).expect("good");
    world.run(&create("/p/c")).expect("good");
    assert_eq!(world.run(&delete("/p")), Err(vec![ErrorCode::NOT_EMPTY]));
    let mut stranger = world.prep.write(&world.tree, SessionId(9), &[], &create("/z"));
    assert_eq!(stranger.as_mut().err(), Some(&mut vec![ErrorCode::SESSION_EXPIRED]));
}

#[test] // 18
fn null_and_empty_data_differ() {
    let mut world = World::new();
    world.run(&create("/a")).expect("good");
    world.run(&set("/a", -1)).expect("good");
    assert_eq!(world.tree.data("/a", &[]).expect("readable").0, None);
}

#[test] // 21: one zxid, each sees the earlier ones, all or nothing, codes per operation
fn a_multi_is_all_or_nothing() {
    let mut world = World::new();
    let multi = Write::Multi(vec![create("/m"), create("/m/c"), set("/m", 0), delete("/m/c")]);
    let applied = world.run(&multi).expect("good");
    let Outcome::Multi(outcomes) = applied.outcome else { panic!("a multi") };
    assert_eq!(outcomes.len(), 4);
    let stat = world.tree.stat("/m").expect("there");
    assert_eq!((stat.czxid, stat.mzxid, stat.version), (world.zxid.0, world.zxid.0, 1));
    let failing = Write::Multi(vec![create_as("/m/s-", false, true), set("/nowhere", -1), create("/n")]);
    let codes = vec![ErrorCode::OK, ErrorCode::NO_NODE, ErrorCode::RUNTIME_INCONSISTENCY];
    assert_eq!(world.run(&failing), Err(codes));
    // ZOOKEEPER-1624: the failed multi must not have moved the counter.
    assert_eq!(created(&world.run(&create_as("/m/s-", false, true)).expect("good")), "/m/s-0000000001");
    assert_eq!(world.run(&Write::Multi(vec![])).expect("legal").outcome, Outcome::Multi(vec![]));
}

#[test] // 22: decisions see what is outstanding
fn pipelined_writes_see_each_other() {
    let mut world = World::new();
    world.prepare(&[], &create("/a")).expect("good");
    assert_eq!(world.prepare(&[], &create("/a")), Err(vec![ErrorCode::NODE_EXISTS]));
    world.prepare(&[], &create_as("/a/e", true, false)).expect("good");
    assert_eq!(world.prepare(&[], &delete("/a")), Err(vec![ErrorCode::NOT_EMPTY]));
    let close = world.prep.close_session(&world.tree, ME).expect("live");
    assert_eq!(
        close.txn,
        Txn::CloseSession { session: ME, paths: vec!["/a/e".into()] },
        "its create is in flight"
    );
    world.zxid = world.zxid.next();
    world.queue.push((world.zxid, close.txn.clone()));
    world.prep.proposed(close, world.zxid);
    assert_eq!(world.prepare(&[], &create("/b")), Err(vec![ErrorCode::SESSION_EXPIRED]));
    let applied = world.settle();
    assert_eq!(world.tree.stat("/a/e"), None);
    assert!(applied[2].triggers.iter().any(|t| t.kind == EventKind::Deleted && t.path == "/a/e"), "30");
    assert!(!world.tree.has_session(ME));
}

#[test] // 7: triggers and their order
fn triggers_in_order() {
    let mut world = World::new();
    let kinds = |applied: &Applied| -> Vec<(EventKind, String)> {
        applied.triggers.iter().map(|t| (t.kind, t.path.clone())).collect()
    };
    let applied = world.run(&create("/a")).expect("good");
    let children = |path: &str| (EventKind::ChildrenChanged, path.to_owned());
    assert_eq!(kinds(&applied), [(EventKind::Created, "/a".to_owned()), children("/")]);
    let applied = world.run(&set("/a", -1)).expect("good");
    assert_eq!(kinds(&applied), [(EventKind::DataChanged, "/a".to_owned())]);
    let acl = Write::SetAcl { path: "/a".into(), acl: vec![Acl::open()], version: 0 };
    assert_eq!(kinds(&world.run(&acl).expect("good")), []);
    let applied = world.run(&delete("/a")).expect("good");
    assert_eq!(kinds(&applied), [(EventKind::Deleted, "/a".to_owned()), children("/")]);
}

#[test]
fn acls_protect() {
    let mut world = World::new();
    let owner = authenticate("digest", b"u:p").expect("credentials");
    let closed = Write::Create {
        path: "/p".into(),
        data: None,
        acl: vec![Acl { perms: perms::ALL, who: owner.clone() }],
        mode: CreateMode::default(),
        with_stat: false,
    };
    world.run(&closed).expect("good");
    assert_eq!(world.tree.data("/p", &[]), Err(ErrorCode::NO_AUTH));
    assert_eq!(world.tree.exists("/p", &[]), Err(ErrorCode::NO_AUTH));
    assert_eq!(world.run(&create("/p/c")), Err(vec![ErrorCode::NO_AUTH]));
    assert_eq!(world.run(&set("/p", -1)), Err(vec![ErrorCode::NO_AUTH]));
    world.run(&delete("/p")).expect("DELETE is asked of the parent");
    world.prepare(std::slice::from_ref(&owner), &closed).expect("good");
    world.prepare(std::slice::from_ref(&owner), &create("/p/c")).expect("good");
    world.settle();
    let set_acl = Write::SetAcl { path: "/p".into(), acl: vec![Acl::open()], version: 0 };
    assert_eq!(world.run(&set_acl), Err(vec![ErrorCode::NO_AUTH]));
    assert_eq!(world.tree.descendants("/", &[]).expect("readable"), 5);
}

impl World {
    /// What the leader ends when it looks at a time.
    fn expire(&mut self, now: i64) -> Vec<String> {
        let over: Vec<String> = self.tree.over(WallMillis(now)).map(str::to_owned).collect();
        for path in &over {
            if let Some(prepared) = self.prep.expire(&self.tree, path, WallMillis(now)) {
                self.zxid = self.zxid.next();
                self.queue.push((self.zxid, prepared.txn.clone()));
                self.prep.proposed(prepared, self.zxid);
            }
        }
        self.settle();
        over
    }
}

#[test] // 35, ZOOKEEPER-2163: a container goes once it is empty again, a fresh one stays
fn a_container_goes_with_its_last_child() {
    let mut world = World::new();
    world.run(&create_for("/c", Lifetime::Container, false)).expect("good");
    assert_eq!(world.tree.stat("/c").expect("there").ephemeral_owner, 0, "clients see no owner");
    assert_eq!(world.expire(i64::MAX), [""; 0]);
    world.run(&create("/c/x")).expect("a container may have children");
    assert_eq!(world.expire(i64::MAX), [""; 0]);
    world.run(&delete("/c/x")).expect("good");
    // A child that is on its way saves it.
    world.prepare(&[], &create("/c/y")).expect("good");
    assert_eq!(world.expire(i64::MAX), ["/c"], "a candidate");
    assert!(world.tree.stat("/c").is_some(), "but not over any more when it was decided");
    world.run(&delete("/c/y")).expect("good");
    assert_eq!(world.expire(i64::MAX), ["/c"]);
    assert_eq!((world.tree.stat("/c"), world.expire(i64::MAX)), (None, vec![]));
}

#[test] // 35, ZOOKEEPER-2169: a TTL node goes once it is empty and was not changed for its time
fn a_ttl_node_goes_after_its_time() {
    let mut world = World::new();
    world.run(&create_for("/t", Lifetime::Ttl(100), false)).expect("good");
    let created = world.tree.stat("/t").expect("there").mtime;
    assert_eq!(world.expire(created + 100), [""; 0]);
    world.run(&create("/t/x")).expect("a TTL node may have children");
    assert_eq!(world.expire(created + 1000), [""; 0], "it has a child");
    world.run(&delete("/t/x")).expect("good");
    world.run(&set("/t", -1)).expect("good");
    let changed = world.tree.stat("/t").expect("there").mtime;
    assert!(changed > created);
    assert_eq!(world.expire(changed + 100), [""; 0]);
    assert_eq!(world.expire(changed + 101), ["/t"]);
    for ms in [-1, 0, Lifetime::TTL_MS_MAX + 1] {
        let bad = create_for("/t", Lifetime::Ttl(ms), false);
        assert_eq!(world.run(&bad), Err(vec![ErrorCode::BAD_ARGUMENTS]));
    }
    world.prep = Prep::new(false);
    let unserved = world.run(&create_for("/t", Lifetime::Ttl(100), false));
    assert_eq!(unserved, Err(vec![ErrorCode::UNIMPLEMENTED]), "extendedTypesEnabled is off");
}

#[test] // Z17: snapshot plus log equals live
fn a_snapshot_reads_back_equal() {
    let mut random = Random::new(3);
    let mut world = World::new();
    world.tree.apply(world.zxid, WallMillis(0), &Txn::SessionKey([4; 32]));
    world.run(&create_for("/container", Lifetime::Container, false)).expect("good");
    world.run(&create_for("/ttl", Lifetime::Ttl(9), false)).expect("good");
    for i in 0..500 {
        let parent = format!("/n{}", random.below(20));
        let _ = world.run(&create(&parent));
        let _ = world.run(&create_as(&format!("{parent}/c"), i % 3 == 0, i % 2 == 0));
        if random.percent(20) {
            let _ = world.run(&delete(&format!("{parent}/c")));
        }
    }
    let chunks = world.tree.encode_snapshot();
    let copy = Tree::decode_snapshot(&chunks).expect("our own snapshot");
    assert_eq!(copy.digest(), world.tree.digest());
    assert_eq!(copy.node_count(), world.tree.node_count());
    assert_eq!(copy.data_bytes(), world.tree.data_bytes());
    assert_eq!(copy.ephemerals(ME).count(), world.tree.ephemerals(ME).count());
    assert_eq!(copy.over(WallMillis(i64::MAX)).collect::<Vec<_>>(), ["/ttl"]);
    for cut in [0, 1, 40, chunks[0].len() - 1] {
        assert!(Tree::decode_snapshot(&[chunks[0].slice(..cut)]).is_err());
    }
}
