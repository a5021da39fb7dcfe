//! Carries steps out: those about processes by the substrate, the others by the agents.
//!
//! Must not know: why. Read first: [`execute`], [`Substrate`].

use std::time::Duration;

use streamkeeper_proto::v1alpha1::ApplyTopicRequest;

use crate::agents::{AgentError, Agents};
use crate::ensemble::plan::{Planned, Step, TopicStep};

/// How long leads may take to be handed over before the next look.
const HAND_OVER: Duration = Duration::from_secs(5);
const HAND_OVER_PAUSE: Duration = Duration::from_millis(50);

/// Why a substrate could not do something; the substrate's own words.
pub type SubstrateError = Box<dyn std::error::Error + Send + Sync>;

/// A step that failed. It is decided anew from what is there then.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {source}")]
pub struct StepFailed {
    /// The step.
    pub step: Step,
    /// Why.
    #[source]
    pub source: SubstrateError,
}

/// What runs the agents: local processes, or Kubernetes. Each method may be called again after it was interrupted anywhere.
#[allow(async_fn_in_trait, reason = "nobody needs these futures to move between threads")]
pub trait Substrate {
    /// Makes the member's process run; a member without a place gets one, with an empty disk and a new identity.
    async fn start(&mut self, member: i32) -> Result<(), SubstrateError>;
    /// Ends the process in good order and starts it again with the wanted configuration.
    async fn restart(&mut self, member: i32) -> Result<(), SubstrateError>;
    /// Ends the process in good order.
    async fn stop(&mut self, member: i32) -> Result<(), SubstrateError>;
    /// Remembers durably that the member leaves.
    async fn mark_leaving(&mut self, member: i32) -> Result<(), SubstrateError>;
    /// Ends the process, puts the disk aside, and forgets the member, in this order.
    async fn retire(&mut self, member: i32) -> Result<(), SubstrateError>;
}

/// Carries steps out in their order, up to the first that fails: a later one may rely on it.
///
/// # Errors
/// The step that failed, and why.
pub async fn execute<S: Substrate, G: Agents>(
    steps: &[Planned],
    agents: &G,
    substrate: &mut S,
) -> Result<(), StepFailed> {
    for planned in steps {
        let done = one(&planned.step, agents, substrate).await;
        done.map_err(|source| StepFailed { step: planned.step.clone(), source })?;
    }
    Ok(())
}

async fn one<S: Substrate, G: Agents>(
    step: &Step,
    agents: &G,
    substrate: &mut S,
) -> Result<(), SubstrateError> {
    match step {
        Step::Start(id) => substrate.start(*id).await?,
        Step::Restart(id) => substrate.restart(*id).await?,
        Step::Stop(id) => substrate.stop(*id).await?,
        Step::MarkLeaving(id) => substrate.mark_leaving(*id).await?,
        Step::Retire(id) => substrate.retire(*id).await?,
        Step::HandOver(id) => hand_over(agents, *id).await?,
        Step::Cordon(id) => agents.cordon(*id).await?,
        Step::Uncordon(id) => agents.uncordon(*id).await?,
        Step::Drain(id) => agents.drain(*id).await?,
        Step::Promote(id) => agents.promote(*id).await?,
        Step::Demote(id) => agents.demote(*id).await?,
        Step::Remove(id) => agents.remove(*id).await?,
        Step::ConfigureRebalance { auto, max_bytes_per_second } => {
            agents.configure_rebalance(*auto, *max_bytes_per_second).await?;
        }
        Step::ConfigureBroker { member, settings } => agents.configure_broker(*member, settings).await?,
        Step::ApplyTopic(topic) => apply_topic(agents, topic).await?,
    }
    Ok(())
}

/// Makes or alters a topic. Topics do not depend on one another: any number may be applied at the same time.
///
/// # Errors
/// No agent did it.
pub async fn apply_topic<G: Agents>(agents: &G, topic: &TopicStep) -> Result<(), AgentError> {
    let request = ApplyTopicRequest {
        name: topic.name.clone(),
        partitions: topic.partitions,
        replication_factor: topic.replication_factor,
        configs: topic.config.clone().into_iter().collect(),
        unmanaged_configs: topic.unmanaged.clone(),
        ..ApplyTopicRequest::default()
    };
    agents.apply_topic(request).await.map(|_| ())
}

/// The agent is asked until it leads nothing that another could lead; how far it came is seen by the next look.
async fn hand_over<G: Agents>(agents: &G, member: i32) -> Result<(), SubstrateError> {
    let until = tokio::time::Instant::now() + HAND_OVER;
    while !agents.hand_over(member).await? && tokio::time::Instant::now() < until {
        tokio::time::sleep(HAND_OVER_PAUSE).await;
    }
    Ok(())
}
