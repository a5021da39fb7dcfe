//! Topics whose resources go, by hand and without faults: whose data goes with them, whose stays, and what is said of those that wait.
//!
//! Read first: `Scene`.

use std::time::Duration;

use serde_json::{Value, json};

use super::ensemble::{Partition, Topic};
use super::run::{Drive, drive};
use super::store::name;
use super::user::{Wish, fulfil};
use super::world::{NAME, NAMESPACE};
use crate::plant::{Plant, set};

/// Everything comes to rest within this time.
const MOST: Duration = Duration::from_secs(600);

/// A cluster and what somebody does in it.
struct Scene<'a> {
    drive: &'a Drive<'a>,
}

impl Scene<'_> {
    async fn wish(&self, wish: Wish) {
        assert!(fulfil(&mut self.drive.world.borrow_mut(), NAME, &wish), "{wish:?}");
        assert!(self.drive.still(MOST).await || self.is_broken(), "it comes to rest after {wish:?}");
    }

    /// Without waiting for what comes of it.
    fn at_once(&self, wish: &Wish) {
        assert!(fulfil(&mut self.drive.world.borrow_mut(), NAME, wish), "{wish:?}");
    }

    fn is_broken(&self) -> bool {
        !self.drive.world.borrow().laws.violations.is_empty()
    }

    fn violations(&self) -> Vec<String> {
        self.drive.world.borrow().laws.violations.clone()
    }

    /// Kafka's tools make a topic, or make it anew.
    fn client_makes(&self, topic: &str, copies: i32, config: &[(&str, &str)]) {
        let mut world = self.drive.world.borrow_mut();
        let id = world.ensembles[NAME].next_id();
        let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let replicas: Vec<i32> = (0..copies).collect();
        let partition = Partition { in_sync: replicas.iter().copied().collect(), leader: Some(0), replicas };
        let made = Topic { id, replication_factor: copies, partitions: vec![partition], config };
        world.ensembles[NAME].topics.insert(topic.to_owned(), made);
    }

    fn has_topic(&self, topic: &str) -> bool {
        self.drive.world.borrow().ensembles[NAME].topics.contains_key(topic)
    }

    fn resource(&self, topic: &str) -> Option<Value> {
        let world = self.drive.world.borrow();
        world.store.get(&name("Topic", NAMESPACE, topic)).map(|value| value.as_ref().clone())
    }

    /// What the condition Ready of a Topic says, of the newest generation.
    fn says(&self, topic: &str) -> String {
        let resource = self.resource(topic).unwrap_or_default();
        let generation = &resource["metadata"]["generation"];
        assert_eq!(&resource["status"]["observedGeneration"], generation, "{resource}");
        let conditions = resource["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let ready = conditions.into_iter().find(|condition| condition["type"] == "Ready");
        ready.map(|ready| ready["message"].as_str().unwrap_or_default().to_owned()).unwrap_or_default()
    }
}

fn scene(act: impl AsyncFnOnce(&Scene<'_>)) {
    drive(&[NAME], async |drive: &Drive<'_>| act(&Scene { drive }).await);
}

fn topic(name: &str, copies: i64, deletes: bool) -> Wish {
    Wish::Topic { name: name.to_owned(), partitions: 1, copies, retention: 1, deletes }
}

fn drop_topic(name: &str) -> Wish {
    Wish::DropTopic(name.to_owned())
}

/// Review: the topic that was there went with a resource that could never be it.
#[test]
fn a_wrong_resource_takes_no_topic_with_it() {
    scene(async |scene| {
        scene.wish(Wish::Create(3)).await;
        scene.client_makes("orders", 3, &[]);
        scene.wish(topic("orders", 1, true)).await;
        assert!(scene.says("orders").contains("has 3 copies"), "{}", scene.says("orders"));
        scene.wish(drop_topic("orders")).await;
        assert!(scene.has_topic("orders") && scene.resource("orders").is_none());
        assert_eq!(scene.violations(), [""; 0]);
    });
}

fn made_anew() -> (bool, Vec<String>) {
    let mut end = (false, Vec::new());
    scene(async |scene| {
        scene.wish(Wish::Create(3)).await;
        scene.wish(topic("t", 3, true)).await;
        scene.at_once(&drop_topic("t"));
        scene.client_makes("t", 3, &[]);
        let _ = scene.drive.still(MOST).await;
        end = (scene.has_topic("t") && scene.resource("t").is_none(), scene.violations());
    });
    end
}

/// Review: topics were deleted by their names, and the next of the name went.
#[test]
fn a_topic_that_a_client_made_anew_stays() {
    assert_eq!(made_anew(), (true, Vec::new()));
    set(Some(Plant::DeletedByName));
    let (_, violations) = made_anew();
    set(None);
    assert!(violations.first().is_some_and(|violation| violation.starts_with("T1")), "{violations:?}");
}

/// Review: a Topic that went while the ensemble was paused, refused or suspended hung without a word.
#[test]
fn a_topic_that_cannot_go_now_says_why() {
    scene(async |scene| {
        scene.wish(Wish::Create(3)).await;
        scene.wish(topic("t", 3, true)).await;
        scene.wish(topic("kept", 3, true)).await;
        scene.wish(Wish::Set("paused", json!(true))).await;
        scene.at_once(&topic("kept", 3, false));
        scene.at_once(&drop_topic("kept"));
        scene.wish(drop_topic("t")).await;
        assert!(scene.says("t").contains("spec.paused"), "{}", scene.says("t"));
        assert!(scene.has_topic("t"));
        assert!(scene.resource("kept").is_none() && scene.has_topic("kept"), "nothing of it is to be done");
        scene.at_once(&Wish::Set("paused", json!(false)));
        scene.wish(Wish::Set("broker", json!({"config": {"no.such.key": "1"}}))).await;
        assert!(scene.says("t").contains("no.such.key"), "{}", scene.says("t"));
        scene.wish(Wish::Set("broker", json!({"config": {}}))).await;
        assert!(!scene.has_topic("t") && scene.resource("t").is_none());
        scene.wish(topic("late", 3, true)).await;
        scene.wish(Wish::Set("suspended", json!(true))).await;
        scene.wish(drop_topic("late")).await;
        assert!(scene.says("late").contains("spec.suspended"), "{}", scene.says("late"));
        assert!(scene.has_topic("late"));
        scene.wish(Wish::Set("suspended", json!(false))).await;
        assert!(!scene.has_topic("late") && scene.resource("late").is_none());
        assert_eq!(scene.violations(), [""; 0]);
    });
}

/// Review: what a topic had before its resource was reset, and records went with their retention.
#[test]
fn a_topic_that_was_there_keeps_its_settings() {
    scene(async |scene| {
        scene.wish(Wish::Create(3)).await;
        scene.client_makes("t", 3, &[("segment.ms", "9"), ("retention.ms", "-1")]);
        scene.wish(topic("t", 3, false)).await;
        let config = scene.drive.world.borrow().ensembles[NAME].topics["t"].config.clone();
        let text = |key: &str| config.get(key).map(String::as_str);
        assert_eq!((text("segment.ms"), text("retention.ms")), (Some("9"), Some("1001")), "{config:?}");
        let status = scene.resource("t").unwrap_or_default()["status"].clone();
        assert_eq!(status["keptConfig"], json!(["segment.ms"]), "{status}");
        assert_eq!(scene.violations(), [""; 0]);
    });
}

/// Review: Kubernetes ends the pods of a namespace first, and takes the operator's rights away with everything else.
#[test]
fn a_namespace_that_goes_holds_nothing_back() {
    scene(async |scene| {
        scene.wish(Wish::Create(3)).await;
        scene.wish(topic("t", 3, true)).await;
        {
            let mut world = scene.drive.world.borrow_mut();
            world.namespace_goes = true;
            for (pod, _) in world.store.of_kind("Pod") {
                assert!(world.store.delete(&pod, None).is_ok());
            }
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
        {
            let mut world = scene.drive.world.borrow_mut();
            assert!(world.store.of_kind("Pod").is_empty());
            world.rights_gone = true;
        }
        scene.at_once(&drop_topic("t"));
        assert!(scene.resource("t").is_none(), "{:?}", scene.resource("t"));
        assert!(scene.has_topic("t"), "the data are the volumes' business");
        assert_eq!(scene.violations(), [""; 0]);
    });
}

/// One topic after the other; then what is said of those that wait.
async fn drop_one_by_one(scene: &Scene<'_>, names: &[String]) {
    for name in names {
        scene.at_once(&topic(name, 1, true));
    }
    assert!(scene.drive.still(MOST).await || scene.is_broken());
    for name in names {
        scene.at_once(&drop_topic(name));
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    assert!(scene.drive.still(MOST).await || scene.is_broken());
}

fn names(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|number| format!("m{number:02}")).collect()
}

fn left(scene: &Scene<'_>, names: &[String]) -> usize {
    names.iter().filter(|name| scene.has_topic(name)).count()
}

/// Review: of a thousand topics that were deleted one after the other half were gone before anybody was asked, and an answer once given
/// was an answer for ever.
#[test]
fn many_topics_go_only_after_a_word_for_them() {
    scene(async |scene| {
        scene.wish(Wish::Create(3)).await;
        let first = names(0, 12);
        drop_one_by_one(scene, &first).await;
        assert_eq!(left(scene, &first), 7, "a handful goes");
        let says = scene.says("m11");
        let (_, word) =
            says.split_once(&format!("{}=", crate::kubernetes::names::CONFIRM_DELETIONS)).unwrap_or_default();
        assert!(
            says.contains("if that is meant: kubectl annotate ensemble main") && !word.is_empty(),
            "{says}"
        );
        scene.drive.world.borrow_mut().store.edit(&name("Ensemble", NAMESPACE, NAME), |ensemble| {
            ensemble["metadata"]["annotations"] = json!({crate::kubernetes::names::CONFIRM_DELETIONS: word});
        });
        assert!(scene.drive.still(MOST).await);
        assert_eq!(left(scene, &first), 0);
        tokio::time::sleep(Duration::from_secs(300)).await;
        let second = names(20, 32);
        drop_one_by_one(scene, &second).await;
        assert_eq!(left(scene, &second), 7, "the word was for those before");
        for kept in &second[5..10] {
            scene.at_once(&topic(kept, 1, false));
        }
        assert!(scene.drive.still(MOST).await);
        assert!(scene.resource(&second[5]).is_none(), "its topic stays, so it goes");
        assert_eq!(left(scene, &second), 7, "two that are left alone wait still");
        assert_eq!(scene.violations(), [""; 0]);
    });
}

#[test]
fn deletions_that_are_not_counted_are_found() {
    set(Some(Plant::UncountedDeletions));
    scene(async |scene| {
        scene.wish(Wish::Create(3)).await;
        drop_one_by_one(scene, &names(0, 12)).await;
        let violations = scene.violations();
        assert!(violations.first().is_some_and(|violation| violation.starts_with("T2")), "{violations:?}");
    });
    set(None);
}
