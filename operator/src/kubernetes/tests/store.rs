//! What the API server keeps: objects as JSON with UIDs, versions, generations, finalizers, and what happened to each kind in order,
//! from which caches of any age are made.
//!
//! Must not know: what the objects are for, who asks. Read first: [`Store`].

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::merge;
use super::world::{stamp, wall};
use crate::kubernetes::api::{ApiError, Identity, Part};

/// Kind, namespace and name.
pub(super) type Name = (String, String, String);

/// One object with what the operator applied last: of the object, and of its status.
#[derive(Clone, Debug)]
struct Stored {
    value: Arc<Value>,
    main: Value,
    status: Value,
}

/// What became of an object; `None`: it is gone.
pub(super) type Change = (Name, Option<Arc<Value>>);

/// The objects.
#[derive(Debug, Default)]
pub(super) struct Store {
    objects: BTreeMap<Name, Stored>,
    revision: u64,
    uids: u64,
    /// The namespace that is being deleted: nothing can be made in it.
    pub(super) goes: Option<&'static str>,
    /// By kind: what became of which object, in order.
    pub(super) history: BTreeMap<String, Vec<Change>>,
}

/// A name as three texts.
pub(super) fn name(kind: &str, namespace: &str, name: &str) -> Name {
    (kind.to_owned(), namespace.to_owned(), name.to_owned())
}

fn conflict(what: &Name, message: &str) -> ApiError {
    ApiError::Conflict { what: format!("{} {}", what.0, what.2), message: message.to_owned() }
}

fn not_found(what: &Name) -> ApiError {
    ApiError::Refused { what: format!("{} {}", what.0, what.2), message: "not found".to_owned() }
}

impl Store {
    /// The object of now.
    pub(super) fn get(&self, name: &Name) -> Option<&Arc<Value>> {
        Some(&self.objects.get(name)?.value)
    }

    /// The objects of a kind.
    pub(super) fn of_kind(&self, kind: &str) -> Vec<(Name, Arc<Value>)> {
        let is_meant = |(name, _): &(&Name, &Stored)| name.0 == kind;
        self.objects.iter().filter(is_meant).map(|(name, o)| (name.clone(), Arc::clone(&o.value))).collect()
    }

    /// All objects.
    pub(super) fn all(&self) -> Vec<(Name, Arc<Value>)> {
        self.objects.iter().map(|(name, object)| (name.clone(), Arc::clone(&object.value))).collect()
    }

    /// Makes an object that must not be there.
    pub(super) fn create(&mut self, name: &Name, mut value: Value) -> Result<Value, ApiError> {
        if self.objects.contains_key(name) {
            return Err(conflict(name, "it is there already"));
        }
        if self.goes == Some(&*name.1) {
            let message = "the namespace is being terminated".to_owned();
            return Err(ApiError::Refused { what: format!("{} {}", name.0, name.2), message });
        }
        self.uids += 1;
        let meta = &mut value["metadata"];
        meta["namespace"] = json!(name.1);
        meta["name"] = json!(name.2);
        meta["uid"] = json!(format!("00000000-0000-4000-8000-{:012}", self.uids));
        meta["generation"] = json!(1);
        meta["creationTimestamp"] = json!(stamp(wall()));
        let stored = Stored { value: Arc::new(Value::Null), main: Value::Null, status: Value::Null };
        self.objects.insert(name.clone(), stored);
        self.put(name, value);
        Ok(self.objects[name].value.as_ref().clone())
    }

    /// Replaces the object whose version was read.
    pub(super) fn replace(&mut self, name: &Name, value: Value) -> Result<Value, ApiError> {
        let there = self.objects.get(name).ok_or_else(|| not_found(name))?;
        if there.value["metadata"]["resourceVersion"] != value["metadata"]["resourceVersion"] {
            return Err(conflict(name, "another version is there"));
        }
        self.put(name, value);
        Ok(self.objects[name].value.as_ref().clone())
    }

    /// Changes an object as its user or its controller does.
    pub(super) fn edit(&mut self, name: &Name, change: impl FnOnce(&mut Value)) -> bool {
        let Some(there) = self.objects.get(name) else { return false };
        let mut value = there.value.as_ref().clone();
        change(&mut value);
        self.put(name, value);
        true
    }

    /// Server-side apply.
    pub(super) fn apply(&mut self, name: &Name, body: &Value, part: Part) -> Result<(), ApiError> {
        let wanted = |field: &str| body["metadata"].get(field).filter(|v| !v.is_null()).cloned();
        let (uid, version) = (wanted("uid"), wanted("resourceVersion"));
        let Some(there) = self.objects.get(name) else {
            return match (part, &uid) {
                (Part::Status, _) => Err(not_found(name)),
                (Part::Main, Some(_)) => Err(conflict(name, "the object with this UID is gone")),
                (Part::Main, None) => {
                    let mut value = json!({"apiVersion": body["apiVersion"], "kind": body["kind"]});
                    merge::apply(&mut value, &Value::Null, body);
                    self.create(name, value)?;
                    self.remember(name, body, part);
                    Ok(())
                }
            };
        };
        let meta = &there.value["metadata"];
        if uid.is_some_and(|uid| uid != meta["uid"]) {
            return Err(conflict(name, "another object has this name now"));
        }
        if version.is_some_and(|version| version != meta["resourceVersion"]) {
            return Err(conflict(name, "another version is there"));
        }
        let mut value = there.value.as_ref().clone();
        match part {
            Part::Main => {
                let mut body = body.clone();
                for field in ["uid", "resourceVersion", "generation", "creationTimestamp"] {
                    body["metadata"].as_object_mut().map(|meta| meta.remove(field));
                }
                body.as_object_mut().map(|body| body.remove("status"));
                merge::apply(&mut value, &there.main, &body);
            }
            Part::Status => {
                let live = value.as_object_mut().map(|v| v.entry("status").or_insert(Value::Null));
                if let Some(live) = live {
                    merge::apply(live, &there.status, &body["status"]);
                }
            }
        }
        self.put(name, value);
        self.remember(name, body, part);
        Ok(())
    }

    fn remember(&mut self, name: &Name, body: &Value, part: Part) {
        let Some(stored) = self.objects.get_mut(name) else { return };
        match part {
            Part::Main => {
                stored.main = body.clone();
                for field in ["uid", "resourceVersion", "generation", "creationTimestamp"] {
                    stored.main["metadata"].as_object_mut().map(|meta| meta.remove(field));
                }
                stored.main.as_object_mut().map(|body| body.remove("status"));
            }
            Part::Status => stored.status = body["status"].clone(),
        }
    }

    /// Deletes exactly this object; gone already: done.
    pub(super) fn delete(&mut self, name: &Name, identity: Option<&Identity>) -> Result<(), ApiError> {
        let Some(there) = self.objects.get(name) else { return Ok(()) };
        let meta = &there.value["metadata"];
        if let Some(identity) = identity {
            let is_same = meta["uid"] == identity.uid && meta["resourceVersion"] == identity.resource_version;
            if !is_same {
                return Err(conflict(name, "another one is there"));
            }
        }
        let holds = meta["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty());
        // A pod ends first: the kubelet lets it go.
        if holds || name.0 == "Pod" {
            if meta["deletionTimestamp"].is_null() {
                self.edit(name, |value| value["metadata"]["deletionTimestamp"] = json!(stamp(wall())));
            }
        } else {
            self.remove(name);
        }
        Ok(())
    }

    /// The object is gone.
    pub(super) fn remove(&mut self, name: &Name) {
        if self.objects.remove(name).is_some() {
            self.revision += 1;
            self.history.entry(name.0.clone()).or_default().push((name.clone(), None));
        }
    }

    fn put(&mut self, name: &Name, mut value: Value) {
        let Some(stored) = self.objects.get_mut(name) else { return };
        if *stored.value == value {
            return;
        }
        let part = |value: &Value| {
            let mut value = value.clone();
            value.as_object_mut().map(|fields| (fields.remove("metadata"), fields.remove("status")));
            value
        };
        if !stored.value.is_null() && part(&stored.value) != part(&value) {
            let generation = stored.value["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
            value["metadata"]["generation"] = json!(generation);
        }
        let meta = &value["metadata"];
        let goes = !meta["deletionTimestamp"].is_null() && name.0 != "Pod";
        if goes && meta["finalizers"].as_array().is_none_or(Vec::is_empty) {
            return self.remove(name);
        }
        self.revision += 1;
        value["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        let value = Arc::new(value);
        stored.value = Arc::clone(&value);
        self.history.entry(name.0.clone()).or_default().push((name.clone(), Some(value)));
    }
}
