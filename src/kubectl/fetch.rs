//! Ensembles, Topics and pods, read with the user's kubeconfig.
//!
//! Must not know: what is said about them. Read first: [`Cluster`].

use std::fmt::Debug;

use anyhow::{Context, Result, anyhow};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use streamkeeper_operator::crd::{Ensemble, Topic};
use streamkeeper_operator::kubernetes::names;

use super::cli::Access;
use super::pods::{PodFact, facts};

/// A namespace of a cluster.
pub(super) struct Cluster {
    pub(super) client: Client,
    pub(super) namespace: String,
}

impl Cluster {
    /// A client as kubectl would have it. Nothing is asked yet.
    ///
    /// # Errors
    /// There is no such kubeconfig or context, or it is not usable.
    pub(super) async fn connect(access: &Access) -> Result<Self> {
        let options = KubeConfigOptions { context: access.context.clone(), ..KubeConfigOptions::default() };
        let config = match &access.kubeconfig {
            Some(file) => {
                let read = Kubeconfig::read_from(file).with_context(|| file.display().to_string())?;
                Config::from_custom_kubeconfig(read, &options)
                    .await
                    .with_context(|| file.display().to_string())?
            }
            None if access.context.is_some() => {
                Config::from_kubeconfig(&options).await.context("kubeconfig")?
            }
            // In a pod there is no kubeconfig, but an account.
            None => Config::infer()
                .await
                .context("no cluster to ask: set KUBECONFIG or give --kubeconfig FILE")?,
        };
        let namespace = access.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).context("kubeconfig")?;
        Ok(Self { client, namespace })
    }

    /// Pods of the namespace.
    pub(super) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The ensemble of this name.
    ///
    /// # Errors
    /// There is none, or the cluster does not answer.
    pub(super) async fn ensemble(&self, name: &str) -> Result<Ensemble> {
        self.named("ensemble", name).await
    }

    /// The topic whose resource has this name.
    ///
    /// # Errors
    /// There is none, or the cluster does not answer.
    pub(super) async fn topic(&self, name: &str) -> Result<Topic> {
        self.named("topic", name).await
    }

    /// All ensembles of the namespace; at least one.
    ///
    /// # Errors
    /// There is none, or the cluster does not answer.
    pub(super) async fn ensembles(&self) -> Result<Vec<Ensemble>> {
        let all = self.all::<Ensemble>("ensemble").await?;
        if all.is_empty() {
            return Err(anyhow!(
                "there is no ensemble in namespace {}; another one: -n NAME",
                self.namespace
            ));
        }
        Ok(all)
    }

    /// Whether there is an ensemble of this name.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub(super) async fn has_ensemble(&self, name: &str) -> Result<bool> {
        let found = self.all::<Ensemble>("ensemble").await?;
        Ok(found.iter().any(|ensemble| ensemble.name_any() == name))
    }

    /// Whether there is a topic whose resource has this name.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub(super) async fn has_topic(&self, name: &str) -> Result<bool> {
        let api: Api<Topic> = Api::namespaced(self.client.clone(), &self.namespace);
        Ok(api.get_opt(name).await.map_err(|error| asked("topic", &error))?.is_some())
    }

    /// The pods of an ensemble.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub(super) async fn pods_of(&self, ensemble: &str) -> Result<Vec<PodFact>> {
        let labels = names::selector_text(ensemble);
        let pods = self.pods().list(&ListParams::default().labels(&labels)).await;
        Ok(facts(&pods.map_err(|error| asked("pod", &error))?.items))
    }

    async fn all<K>(&self, kind: &str) -> Result<Vec<K>>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &self.namespace);
        Ok(api.list(&ListParams::default()).await.map_err(|error| asked(kind, &error))?.items)
    }

    async fn named<K>(&self, kind: &str, name: &str) -> Result<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &self.namespace);
        if let Some(found) = api.get_opt(name).await.map_err(|error| asked(kind, &error))? {
            return Ok(found);
        }
        let there: Vec<String> = self.all::<K>(kind).await?.iter().map(ResourceExt::name_any).collect();
        let there = if there.is_empty() {
            "there is none".to_owned()
        } else {
            format!("there are: {}", there.join(", "))
        };
        Err(anyhow!("there is no {kind} {name} in namespace {}; {there}", self.namespace))
    }
}

/// What the cluster said when it was asked for resources of a kind, and what helps.
fn asked(kind: &str, error: &kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status) if status.code == 404 => anyhow!(
            "the cluster has no {kind}s: the operator's chart brings their definition, or: streamkeeper crds | kubectl apply --server-side -f -"
        ),
        kube::Error::Api(status) => anyhow!("{kind}s cannot be read: {}", status.message),
        other => anyhow!("the cluster does not answer: {}", causes(other)),
    }
}

/// An error with everything below it.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(cause) = below {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        below = cause.source();
    }
    text
}
