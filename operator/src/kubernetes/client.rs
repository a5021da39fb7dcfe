//! The real API server: reads from caches where a kind is watched, writes while the lease is held.
//!
//! Must not know: why. Read first: [`Server`].

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Client, Error};
use serde_json::Value;

use super::api::{Api, ApiError, Identity, Object, Part, Which};
use super::cache::Caches;
use super::lease::Leadership;
use super::metrics::Metrics;
use super::names;

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// The API server.
pub struct Server {
    client: Client,
    caches: Rc<Caches>,
    metrics: Rc<Metrics>,
    /// Writes need it; `None` for writes that decide who holds it.
    leadership: Option<Rc<Leadership>>,
}

impl Server {
    /// A server whose writes need the lease, unless `leadership` is `None`.
    pub fn new(
        client: Client,
        caches: Rc<Caches>,
        metrics: Rc<Metrics>,
        leadership: Option<Rc<Leadership>>,
    ) -> Self {
        Self { client, caches, metrics, leadership }
    }

    fn objects<K: Object>(&self, namespace: &str) -> kube::Api<K> {
        kube::Api::namespaced(self.client.clone(), namespace)
    }

    async fn call<T>(
        &self,
        what: String,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, ApiError> {
        let answer = tokio::time::timeout(PATIENCE, call).await;
        let result = match answer {
            Ok(result) => result.map_err(|error| told(what, &error)),
            Err(_) => Err(ApiError::Unavailable { what, message: "no answer in time".to_owned() }),
        };
        result.inspect_err(|error| self.metrics.failure(error.label()))
    }

    async fn write<K: Object, T>(
        &self,
        verb: &'static str,
        name: &str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, ApiError> {
        let what = format!("{verb} {} {name}", K::kind(&()));
        if self.leadership.as_ref().is_some_and(|leadership| leadership.token().is_none()) {
            let message = "this operator does not hold the lease".to_owned();
            return Err(ApiError::Unavailable { what, message });
        }
        self.metrics.write(verb, &K::kind(&()));
        self.call(what, call).await
    }
}

impl Api for Server {
    async fn list<K: Object>(&self, namespace: &str, which: Which<'_>) -> Result<Vec<Arc<K>>, ApiError> {
        if let Some(cache) = self.caches.get::<K>() {
            return Ok(cache.list(namespace, which));
        }
        self.list_now(namespace, which).await
    }

    async fn list_now<K: Object>(&self, namespace: &str, which: Which<'_>) -> Result<Vec<Arc<K>>, ApiError> {
        // Without a version the list is of now.
        let parameters = match which {
            Which::All => ListParams::default(),
            Which::Of(ensemble) => ListParams::default().labels(&names::owned_text(ensemble)),
        };
        let objects = self.objects::<K>(namespace);
        let list = self.call(format!("list {}", K::kind(&())), objects.list(&parameters)).await?;
        Ok(list.items.into_iter().map(Arc::new).collect())
    }

    async fn get<K: Object>(&self, namespace: &str, name: &str) -> Result<Option<K>, ApiError> {
        let objects = self.objects::<K>(namespace);
        self.call(format!("get {} {name}", K::kind(&())), objects.get_opt(name)).await
    }

    async fn create<K: Object>(&self, namespace: &str, object: &K) -> Result<K, ApiError> {
        let name = object.meta().name.clone().unwrap_or_default();
        let objects = self.objects::<K>(namespace);
        self.write::<K, _>("create", &name, objects.create(&posts(), object)).await
    }

    async fn replace<K: Object>(&self, namespace: &str, object: &K) -> Result<K, ApiError> {
        let name = object.meta().name.clone().unwrap_or_default();
        let objects = self.objects::<K>(namespace);
        self.write::<K, _>("update", &name, objects.replace(&name, &posts(), object)).await
    }

    async fn apply<K: Object>(
        &self,
        namespace: &str,
        name: &str,
        body: &Value,
        part: Part,
    ) -> Result<(), ApiError> {
        let objects = self.objects::<K>(namespace);
        let parameters = PatchParams::apply(names::MANAGER).force();
        let patch = Patch::Apply(body);
        match part {
            Part::Main => {
                self.write::<K, _>("apply", name, objects.patch(name, &parameters, &patch)).await?;
            }
            Part::Status => {
                let call = objects.patch_status(name, &parameters, &patch);
                self.write::<K, _>("apply status of", name, call).await?;
            }
        }
        Ok(())
    }

    async fn delete<K: Object>(
        &self,
        namespace: &str,
        name: &str,
        identity: &Identity,
    ) -> Result<(), ApiError> {
        let parameters = DeleteParams::background().preconditions(Preconditions {
            uid: Some(identity.uid.clone()),
            resource_version: Some(identity.resource_version.clone()),
        });
        let objects = self.objects::<K>(namespace);
        let call = async {
            match objects.delete(name, &parameters).await {
                Ok(_) => Ok(()),
                Err(error) if code(&error) == Some(404) => Ok(()),
                Err(error) => Err(error),
            }
        };
        self.write::<K, _>("delete", name, call).await
    }

    async fn namespace_goes(&self, namespace: &str) -> Result<bool, ApiError> {
        let namespaces = kube::Api::<Namespace>::all(self.client.clone());
        let found = self.call(format!("get Namespace {namespace}"), namespaces.get_opt(namespace)).await?;
        Ok(found.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_some()))
    }
}

fn posts() -> PostParams {
    PostParams { field_manager: Some(names::MANAGER.to_owned()), ..PostParams::default() }
}

fn code(error: &Error) -> Option<u16> {
    match error {
        Error::Api(status) => Some(status.code),
        _ => None,
    }
}

fn told(what: String, error: &Error) -> ApiError {
    let message = match error {
        Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    };
    match code(error) {
        Some(409) => ApiError::Conflict { what, message },
        // Too many requests, and a request that took too long, may be sent again.
        Some(408 | 429) | None => ApiError::Unavailable { what, message },
        Some(400..500) => ApiError::Refused { what, message },
        Some(_) => ApiError::Unavailable { what, message },
    }
}
