//! The real watch, client and cache against an HTTP server that says what an API server can say: Sieve's patterns where they begin.
//!
//! Read first: [`Script`], [`Asked`].

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::kubernetes::api::{Api, ApiError, Which};
use crate::kubernetes::cache::{Cache, Caches};
use crate::kubernetes::client::Server;
use crate::kubernetes::metrics::Metrics;
use crate::kubernetes::names;

/// Longer than any pause of the watcher in these tests.
const PATIENCE: Duration = Duration::from_secs(20);

/// An API server whose answers the test gives, one request after the other.
struct Script(TcpListener);

/// A request that waits for its answer.
struct Asked {
    target: String,
    stream: TcpStream,
}

impl Script {
    async fn next(&self) -> Asked {
        let accepted = tokio::time::timeout(PATIENCE, self.0.accept()).await.expect("somebody asks");
        let (mut stream, _) = accepted.expect("a connection");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a request"));
        }
        let head = String::from_utf8(head).expect("text");
        let target = head.split(' ').nth(1).expect("a target").to_owned();
        Asked { target, stream }
    }

    /// The next request, which must be a list from the beginning.
    async fn list(&self) -> Asked {
        let asked = self.next().await;
        assert_eq!((asked.parameter("watch"), asked.parameter("continue")), (None, None), "{}", asked.target);
        asked
    }

    /// The next request, which must be a watch from this version on.
    async fn watch(&self, version: &str) -> Asked {
        let asked = self.next().await;
        let from = (asked.parameter("watch"), asked.parameter("resourceVersion"));
        assert_eq!(from, (Some("true"), Some(version)), "{}", asked.target);
        asked
    }
}

impl Asked {
    fn parameter(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the other side reads");
    }

    async fn answer(mut self, code: u16, body: &Value) {
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {code} Answer\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.send(head.as_bytes()).await;
        self.send(body.as_bytes()).await;
    }

    async fn answer_list(self, objects: &[Value], version: &str, more: Option<&str>) {
        let metadata = json!({"resourceVersion": version, "continue": more});
        let list =
            json!({"apiVersion": "v1", "kind": "ConfigMapList", "metadata": metadata, "items": objects});
        self.answer(200, &list).await;
    }

    async fn begin_events(&mut self) {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
        self.send(head.as_bytes()).await;
    }

    async fn event(&mut self, kind: &str, object: &Value) {
        let line = format!("{}\n", json!({"type": kind, "object": object}));
        self.send(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes()).await;
    }

    /// The connection is cut within an event.
    async fn half_an_event(mut self, kind: &str, object: &Value) {
        let line = format!("{}\n", json!({"type": kind, "object": object}));
        let half = &line[..line.len() / 2];
        self.send(format!("{:x}\r\n{half}", line.len()).as_bytes()).await;
    }

    /// The server ends the watch in good order, as it does after some minutes.
    async fn end_events(mut self) {
        self.send(b"0\r\n\r\n").await;
    }
}

fn map(name: &str, version: &str) -> Value {
    let labels = json!({names::INSTANCE: "main", names::MANAGED_BY: names::MANAGER});
    let metadata =
        json!({"namespace": "n", "name": name, "uid": name, "resourceVersion": version, "labels": labels});
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
}

fn gone() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 410, "reason": "Expired",
        "message": "too old resource version: 10 (99)",
    })
}

/// What an operator has: the cache that a watch feeds, and the server behind it.
struct Scene {
    script: Script,
    cache: Rc<Cache<ConfigMap>>,
    server: Server,
    heard: Heard,
}

/// What was told of the watch.
#[derive(Default)]
struct Heard {
    filled: Cell<u32>,
    refused: Cell<u32>,
    touched: RefCell<Vec<String>>,
}

impl Listener<ConfigMap> for &Heard {
    fn filled(&self) {
        self.filled.set(self.filled.get() + 1);
    }

    fn refused(&self) {
        self.refused.set(self.refused.get() + 1);
    }

    fn touched(&self, map: &ConfigMap) {
        self.touched.borrow_mut().extend(map.metadata.name.clone());
    }
}

impl Scene {
    /// Lets somebody hear that this happened.
    async fn until(&self, names: &[&str]) {
        let waits = async {
            while self.names() != names {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, waits).await;
        assert!(in_time.is_ok(), "{:?} and not {names:?}", self.names());
    }

    fn names(&self) -> Vec<String> {
        let maps = self.cache.list("n", Which::Of("main"));
        maps.iter().filter_map(|map| map.metadata.name.clone()).collect()
    }

    fn touched(&self) -> Vec<String> {
        let mut touched = std::mem::take(&mut *self.heard.touched.borrow_mut());
        touched.sort();
        touched.dedup();
        touched
    }
}

/// Follows a kind while `act` plays the API server.
fn play(act: impl AsyncFnOnce(&Scene)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let script = Script(TcpListener::bind("127.0.0.1:0").await.expect("a port"));
        let address = script.0.local_addr().expect("an address");
        let uri = format!("http://{address}").parse().expect("an address");
        let client = kube::Client::try_from(kube::Config::new(uri)).expect("a client");
        let mut caches = Caches::default();
        let cache = caches.of::<ConfigMap>();
        let server = Server::new(client.clone(), Rc::new(caches), Rc::new(Metrics::default()), None);
        let scene = Scene { script, cache, server, heard: Heard::default() };
        let feed = Feed::new(Rc::clone(&scene.cache), Some("n".to_owned()));
        let follows = follow(kube::Api::namespaced(client, "n"), Config::default(), feed, &scene.heard);
        tokio::select! {
            biased;
            () = act(&scene) => {}
            () = follows => {}
        }
    });
}

/// Until the server has forgotten the version: what it lists then is all that there is, and whoever is gone is looked after once more.
#[test]
fn a_watch_that_has_expired_is_listed_anew_as_a_whole() {
    play(async |scene: &Scene| {
        scene.script.list().await.answer_list(&[map("a", "8"), map("b", "9")], "10", None).await;
        let mut watch = scene.script.watch("10").await;
        watch.begin_events().await;
        watch.event("ADDED", &map("c", "11")).await;
        scene.until(&["a", "b", "c"]).await;
        scene.touched();
        watch.event("ERROR", &gone()).await;
        scene.script.list().await.answer_list(&[map("a", "8")], "99", Some("more")).await;
        let more = scene.script.next().await;
        assert_eq!(more.parameter("continue"), Some("more"));
        assert_eq!(scene.names(), ["a", "b", "c"], "half a list is shown to nobody");
        assert!(scene.touched().is_empty());
        more.answer_list(&[map("d", "50")], "99", None).await;
        scene.until(&["a", "d"]).await;
        assert_eq!(scene.touched(), ["a", "b", "c", "d"]);
        assert_eq!(scene.heard.filled.get(), 1);
        // It goes on from the list's version.
        drop(scene.script.watch("99").await);
    });
}

/// The watcher asked for the same expired version again for ever, and the cache stayed as it was.
#[test]
fn a_watch_that_is_answered_with_gone_is_listed_anew() {
    play(async |scene: &Scene| {
        scene.script.list().await.answer_list(&[map("a", "8")], "10", None).await;
        scene.script.watch("10").await.answer(410, &gone()).await;
        scene.script.list().await.answer_list(&[map("b", "98")], "99", None).await;
        scene.until(&["b"]).await;
        assert_eq!(scene.heard.filled.get(), 1);
        drop(scene.script.watch("99").await);
    });
}

#[test]
fn a_list_that_expires_half_way_is_begun_anew() {
    play(async |scene: &Scene| {
        scene.script.list().await.answer_list(&[map("a", "8")], "10", Some("more")).await;
        let more = scene.script.next().await;
        assert_eq!(more.parameter("continue"), Some("more"));
        more.answer(410, &gone()).await;
        let anew = scene.script.list().await;
        assert_eq!(scene.heard.refused.get(), 0);
        assert!(
            scene.names().is_empty() && scene.heard.filled.get() == 0,
            "nobody looks before all is listed"
        );
        anew.answer_list(&[map("b", "98")], "99", None).await;
        scene.until(&["b"]).await;
        assert_eq!((scene.heard.filled.get(), scene.touched()), (1, vec!["b".to_owned()]));
    });
}

#[test]
fn a_list_that_is_refused_is_told_and_asked_for_again() {
    play(async |scene: &Scene| {
        let forbidden = json!({"apiVersion": "v1", "kind": "Status", "code": 403, "reason": "Forbidden",
            "status": "Failure", "message": "no"});
        scene.script.list().await.answer(403, &forbidden).await;
        let again = scene.script.list().await;
        assert_eq!((scene.heard.refused.get(), scene.heard.filled.get()), (1, 0));
        again.answer_list(&[map("a", "8")], "10", None).await;
        scene.until(&["a"]).await;
        assert_eq!(scene.heard.filled.get(), 1);
    });
}

#[test]
fn a_connection_that_is_cut_within_an_event_loses_nothing() {
    play(async |scene: &Scene| {
        scene.script.list().await.answer_list(&[map("a", "8"), map("b", "9")], "10", None).await;
        let mut watch = scene.script.watch("10").await;
        watch.begin_events().await;
        watch.event("DELETED", &map("a", "11")).await;
        scene.until(&["b"]).await;
        watch.half_an_event("ADDED", &map("c", "12")).await;
        let mut watch = scene.script.watch("11").await;
        assert_eq!(scene.names(), ["b"]);
        watch.begin_events().await;
        watch.event("ADDED", &map("c", "12")).await;
        scene.until(&["b", "c"]).await;
        // Cut before anything was said: the same again.
        drop(watch);
        drop(scene.script.watch("12").await);
        let mut watch = scene.script.watch("12").await;
        watch.begin_events().await;
        watch.event("DELETED", &map("b", "13")).await;
        scene.until(&["c"]).await;
    });
}

#[test]
fn a_bookmark_is_where_the_watch_goes_on() {
    play(async |scene: &Scene| {
        scene.script.list().await.answer_list(&[map("a", "8")], "10", None).await;
        let mut watch = scene.script.watch("10").await;
        assert_eq!(watch.parameter("allowWatchBookmarks"), Some("true"));
        watch.begin_events().await;
        let mark = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"resourceVersion": "70"}});
        watch.event("BOOKMARK", &mark).await;
        watch.end_events().await;
        let watch = scene.script.watch("70").await;
        assert_eq!(
            (scene.names(), scene.heard.filled.get()),
            (vec!["a".to_owned()], 1),
            "nothing was listed anew"
        );
        drop(watch);
    });
}

/// Decisions that cannot be taken back read past the cache, however old it is.
#[test]
fn fresh_reads_go_past_a_cache_that_is_being_listed() {
    play(async |scene: &Scene| {
        scene.script.list().await.answer_list(&[map("a", "8")], "10", None).await;
        scene.script.watch("10").await.answer(410, &gone()).await;
        let relist = scene.script.list().await;
        let cached = scene.server.list::<ConfigMap>("n", Which::Of("main")).await.expect("a cache");
        assert_eq!(cached.len(), 1);
        let (found, ()) = tokio::join!(scene.server.get::<ConfigMap>("n", "a"), async {
            let asked = scene.script.next().await;
            assert_eq!(asked.target, "/api/v1/namespaces/n/configmaps/a");
            let missing = json!({"apiVersion": "v1", "kind": "Status", "code": 404, "reason": "NotFound",
                "status": "Failure", "message": "not found"});
            asked.answer(404, &missing).await;
        });
        assert_eq!(found.expect("an answer"), None);
        let (listed, ()) = tokio::join!(scene.server.list_now::<ConfigMap>("n", Which::Of("main")), async {
            let asked = scene.script.next().await;
            assert_eq!(asked.parameter("resourceVersion"), None, "of now");
            let ours = asked.parameter("labelSelector").unwrap_or_default().to_owned();
            assert!(ours.contains("main") && ours.contains(names::MANAGER), "{ours}");
            asked.answer_list(&[map("z", "90")], "99", None).await;
        });
        assert_eq!(listed.expect("an answer")[0].metadata.name.as_deref(), Some("z"));
        let (refused, ()) = tokio::join!(scene.server.get::<ConfigMap>("n", "a"), async {
            // An answer that ends before it is whole is none.
            scene.script.next().await.send(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"apiVers").await;
        });
        assert!(matches!(refused, Err(ApiError::Unavailable { .. })), "{refused:?}");
        drop(relist);
    });
}
