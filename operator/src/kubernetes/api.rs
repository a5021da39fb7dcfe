//! The border to the API server: what is asked of it, small enough to be modelled.
//!
//! Must not know: why. Two implement it: [`super::client`], and models of an API server in tests. Read first: [`Api`].

use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A namespaced kind of object.
pub trait Object:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl<K> Object for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// Why the API server did not do something; a variant is a label of metrics.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The object is another one than was read, or is there already.
    #[error("{what}: was changed meanwhile ({message})")]
    Conflict {
        /// Verb and object.
        what: String,
        /// The server's words.
        message: String,
    },
    /// The server refuses, and will again: rights are missing, or the object breaks a rule.
    #[error("{what}: refused: {message}")]
    Refused {
        /// Verb and object.
        what: String,
        /// The server's words.
        message: String,
    },
    /// No answer, or none that can be used; it may be tried again.
    #[error("{what}: {message}")]
    Unavailable {
        /// Verb and object.
        what: String,
        /// What happened.
        message: String,
    },
}

impl ApiError {
    /// A label of metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "conflict",
            Self::Refused { .. } => "refused",
            Self::Unavailable { .. } => "unavailable",
        }
    }
}

/// Which object exactly: a write about another one with the same name, or about a newer state of it, is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its UID.
    pub uid: String,
    /// The state that was read.
    pub resource_version: String,
}

/// Which part of an object is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Everything but the status.
    Main,
    /// The status.
    Status,
}

/// Which objects are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which<'a> {
    /// All of the namespace.
    All,
    /// Those with the labels of this ensemble.
    Of(&'a str),
}

/// The API server. Each write carries the one field manager, and applies are forced on the fields in their body.
#[allow(async_fn_in_trait, reason = "nobody needs these futures to move between threads")]
pub trait Api {
    /// What was there lately; it may be old.
    async fn list<K: Object>(&self, namespace: &str, which: Which<'_>) -> Result<Vec<Arc<K>>, ApiError>;
    /// What there is now, by a quorum read.
    async fn list_now<K: Object>(&self, namespace: &str, which: Which<'_>) -> Result<Vec<Arc<K>>, ApiError>;
    /// What is there now, by a quorum read; `None` if there is no such object.
    async fn get<K: Object>(&self, namespace: &str, name: &str) -> Result<Option<K>, ApiError>;
    /// Makes an object that must not be there.
    async fn create<K: Object>(&self, namespace: &str, object: &K) -> Result<K, ApiError>;
    /// Replaces the object whose state (`metadata.resourceVersion`) was read.
    async fn replace<K: Object>(&self, namespace: &str, object: &K) -> Result<K, ApiError>;
    /// Server-side apply. A `metadata.uid` and `metadata.resourceVersion` in the body must be those of the object that is there.
    async fn apply<K: Object>(
        &self,
        namespace: &str,
        name: &str,
        body: &Value,
        part: Part,
    ) -> Result<(), ApiError>;
    /// Deletes exactly this object. Gone already: done.
    async fn delete<K: Object>(
        &self,
        namespace: &str,
        name: &str,
        identity: &Identity,
    ) -> Result<(), ApiError>;
    /// Whether the namespace is being deleted, or gone.
    async fn namespace_goes(&self, namespace: &str) -> Result<bool, ApiError>;
}

/// The object as it was read.
pub fn identity(meta: &ObjectMeta) -> Identity {
    Identity {
        uid: meta.uid.clone().unwrap_or_default(),
        resource_version: meta.resource_version.clone().unwrap_or_default(),
    }
}

/// A body with which only some fields of an object are applied.
pub fn body_of<K: Object>(metadata: Value) -> Value {
    serde_json::json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": metadata})
}
