//! What the API server's watches told lately, by kind, namespace and name. It may be old; fresh reads go past it.
//!
//! Must not know: who reads it. Read first: [`Cache`].

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::watcher::Event;

use super::api::{Object, Which};
use super::names;
use crate::plant::{Plant, is_planted};

type Names<K> = BTreeMap<String, Arc<K>>;

/// The objects of one kind.
#[derive(Debug)]
pub struct Cache<K> {
    objects: RefCell<BTreeMap<String, Names<K>>>,
}

impl<K> Default for Cache<K> {
    fn default() -> Self {
        Self { objects: RefCell::default() }
    }
}

impl<K: Object> Cache<K> {
    /// The objects of a namespace.
    pub fn list(&self, namespace: &str, which: Which<'_>) -> Vec<Arc<K>> {
        let objects = self.objects.borrow();
        let Some(names) = objects.get(namespace) else { return Vec::new() };
        let is_meant = |object: &&Arc<K>| match which {
            Which::All => true,
            Which::Of(ensemble) => instance(object.as_ref()) == Some(ensemble),
        };
        names.values().filter(is_meant).cloned().collect()
    }

    fn insert(&self, object: Arc<K>) {
        let (namespace, name) = place(object.as_ref());
        self.objects.borrow_mut().entry(namespace).or_default().insert(name, object);
    }

    fn remove(&self, object: &K) {
        let (namespace, name) = place(object);
        if let Some(names) = self.objects.borrow_mut().get_mut(&namespace) {
            names.remove(&name);
        }
    }

    /// All objects of a namespace, or of all, are these.
    fn replace(&self, namespace: Option<&str>, listed: Vec<Arc<K>>) {
        match namespace {
            Some(namespace) => drop(self.objects.borrow_mut().remove(namespace)),
            None => self.objects.borrow_mut().clear(),
        }
        listed.into_iter().for_each(|object| self.insert(object));
    }
}

/// The ensemble that an object belongs to, by its label.
pub fn instance<K: Object>(object: &K) -> Option<&str> {
    object.meta().labels.as_ref()?.get(names::INSTANCE).map(String::as_str)
}

/// The object is the operator's and belongs to the ensemble. Others label theirs with a name that is an ensemble's as well: Helm does so
/// with everything of a release.
pub fn is_of<K: Object>(object: &K, ensemble: &str) -> bool {
    is_labelled(object.meta(), ensemble)
}

/// [`is_of`] by what an object says of itself.
pub fn is_labelled(meta: &ObjectMeta, ensemble: &str) -> bool {
    let label = |key| meta.labels.as_ref().and_then(|labels| labels.get(key)).map(String::as_str);
    let is_managed = label(names::MANAGED_BY) == Some(names::MANAGER);
    (is_managed || is_planted(Plant::SharedLabel)) && label(names::INSTANCE) == Some(ensemble)
}

fn place<K: Object>(object: &K) -> (String, String) {
    let meta = object.meta();
    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}

/// Feeds a cache from one watch: of one namespace, or of all.
#[derive(Debug)]
pub struct Feed<K> {
    cache: Rc<Cache<K>>,
    namespace: Option<String>,
    /// What was listed since the watch began anew.
    listed: Vec<Arc<K>>,
}

impl<K: Object> Feed<K> {
    /// A feed of the objects of `namespace`, or of all namespaces.
    pub fn new(cache: Rc<Cache<K>>, namespace: Option<String>) -> Self {
        Self { cache, namespace, listed: Vec::new() }
    }

    /// The namespace that is watched; `None` for all.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Takes an event; returns the objects that may have changed.
    pub fn take(&mut self, event: Event<K>) -> Vec<Arc<K>> {
        match event {
            Event::Apply(object) => {
                let object = Arc::new(lean(object));
                self.cache.insert(Arc::clone(&object));
                vec![object]
            }
            Event::Delete(object) => {
                self.cache.remove(&object);
                vec![Arc::new(object)]
            }
            Event::Init => {
                self.listed.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                self.listed.push(Arc::new(lean(object)));
                Vec::new()
            }
            Event::InitDone => {
                // What was there before and is not any more changed as well.
                let mut touched = self.all();
                let listed = std::mem::take(&mut self.listed);
                touched.extend(listed.iter().cloned());
                self.cache.replace(self.namespace.as_deref(), listed);
                touched
            }
        }
    }

    fn all(&self) -> Vec<Arc<K>> {
        let objects = self.cache.objects.borrow();
        let is_meant = |name: &&String| self.namespace.as_ref().is_none_or(|namespace| namespace == *name);
        let namespaces = objects.keys().filter(is_meant);
        namespaces.flat_map(|namespace| objects[namespace].values().cloned()).collect()
    }
}

/// Who manages which field is of no use here and is most of many objects.
fn lean<K: Object>(mut object: K) -> K {
    object.meta_mut().managed_fields = None;
    object
}

/// The caches by kind.
#[derive(Debug, Default)]
pub struct Caches {
    by_kind: HashMap<TypeId, Rc<dyn Any>>,
}

impl Caches {
    /// The cache of a kind, made if there is none.
    pub fn of<K: Object>(&mut self) -> Rc<Cache<K>> {
        let entry = self.by_kind.entry(TypeId::of::<K>());
        let cache = entry.or_insert_with(|| Rc::new(Cache::<K>::default()));
        // The entry of a type is only made here, so it has that type.
        Rc::clone(cache).downcast().unwrap_or_default()
    }

    /// The cache of a kind that is watched.
    pub fn get<K: Object>(&self) -> Option<Rc<Cache<K>>> {
        Rc::clone(self.by_kind.get(&TypeId::of::<K>())?).downcast().ok()
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;

    fn map(namespace: &str, name: &str, ensemble: &str) -> ConfigMap {
        let labels = json!({names::INSTANCE: ensemble});
        serde_json::from_value(json!({"metadata": {"namespace": namespace, "name": name, "labels": labels}}))
            .expect("a map")
    }

    fn names_of(cache: &Cache<ConfigMap>, namespace: &str, which: Which<'_>) -> Vec<String> {
        cache.list(namespace, which).iter().filter_map(|map| map.metadata.name.clone()).collect()
    }

    #[test]
    fn events_change_what_is_listed() {
        let mut caches = Caches::default();
        let cache = caches.of::<ConfigMap>();
        assert!(caches.get::<ConfigMap>().is_some());
        let mut feed = Feed::new(Rc::clone(&cache), None);
        feed.take(Event::Apply(map("n", "a", "main")));
        feed.take(Event::Apply(map("n", "b", "other")));
        feed.take(Event::Apply(map("m", "c", "main")));
        assert_eq!(names_of(&cache, "n", Which::All), ["a", "b"]);
        assert_eq!(names_of(&cache, "n", Which::Of("main")), ["a"]);
        feed.take(Event::Delete(map("n", "a", "main")));
        assert_eq!(names_of(&cache, "n", Which::All), ["b"]);
    }

    /// Sieve's unobserved state: what was deleted while nothing was watched must not live on.
    #[test]
    fn a_watch_that_begins_anew_forgets_what_is_gone_in_its_namespace() {
        let cache = Rc::new(Cache::default());
        let mut feed = Feed::new(Rc::clone(&cache), Some("n".to_owned()));
        let mut other = Feed::new(Rc::clone(&cache), Some("m".to_owned()));
        feed.take(Event::Apply(map("n", "old", "main")));
        other.take(Event::Apply(map("m", "kept", "main")));
        feed.take(Event::Init);
        feed.take(Event::InitApply(map("n", "new", "main")));
        assert_eq!(names_of(&cache, "n", Which::All), ["old"], "until the list is whole");
        let touched = feed.take(Event::InitDone);
        assert_eq!(touched.len(), 2);
        assert_eq!(names_of(&cache, "n", Which::All), ["new"]);
        assert_eq!(names_of(&cache, "m", Which::All), ["kept"]);
    }
}
