//! The broker's settings as they were told last: in the agent's file at its start, over gRPC later.
//!
//! They are the agent's own and not the ensemble's, so no entry of its log has them; only the guard of the change goes through the quorum.
//! Must not know: what a setting does. Read first: [`BrokerSettings`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use streamkeeper_member::control::{Change, Guard};
use streamkeeper_member::message::ToBroker;
use streamkeeper_member::settings::{check_dynamic_setting, is_read_at_start};
use streamkeeper_proto::settings_digest;
use streamkeeper_proto::v1alpha1 as proto;
use tonic::Status;

use super::agent::Agent;
use super::answers::{guard, refused};
use crate::coordination_thread::ToBrokerHub;
use crate::shell::hub::Remote;

/// Those that may change while the broker runs, and where it is told of others.
pub(crate) struct BrokerSettings {
    told: Mutex<BTreeMap<String, String>>,
    /// Held from the judgement of a change to its end: an operator that was succeeded meanwhile must not come after its successor.
    turn: tokio::sync::Mutex<()>,
    to_broker: ToBrokerHub,
}

impl BrokerSettings {
    /// With those of the agent's file.
    pub(crate) fn new(of_file: &BTreeMap<String, String>, to_broker: ToBrokerHub) -> Self {
        let dynamic = of_file.iter().filter(|(name, _)| !is_read_at_start(name));
        let told = dynamic.map(|(name, value)| (name.clone(), value.clone())).collect();
        Self { told: Mutex::new(told), turn: tokio::sync::Mutex::default(), to_broker }
    }

    /// Of what is in force.
    pub(super) fn digest(&self) -> String {
        settings_digest(&self.told())
    }

    fn told(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        // Replaced as a whole: what a panicking thread leaves behind is one or the other.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The broker gets these settings instead of those that it has.
///
/// # Errors
/// One is unknown, illegal, or read only at the start; another operator took over; there is no quorum leader to say so, or no broker.
pub(super) async fn configure(agent: &Agent, request: proto::ConfigureBrokerRequest) -> Result<(), Status> {
    let settings: BTreeMap<String, String> = request.settings.into_iter().collect();
    for (name, value) in &settings {
        check_dynamic_setting(name, value)
            .map_err(|reason| Status::invalid_argument(format!("settings: {name}: {reason}")))?;
    }
    let _turn = agent.broker.turn.lock().await;
    // A request that comes once more is done once more: it says what shall be, not what shall change.
    let guard = Guard { request: String::new(), ..guard(request.write) };
    agent.change(guard, Change::Admit).await.map_err(refused)?;
    let mut told = agent.broker.told();
    if *told == settings {
        return Ok(());
    }
    let message = Remote::Message(ToBroker::Settings(settings.clone()));
    agent.broker.to_broker.send(message).map_err(|_| Status::unavailable("the agent stops"))?;
    let names: BTreeSet<&String> = told.keys().chain(settings.keys()).collect();
    let changed: Vec<_> = names.into_iter().filter(|name| told.get(*name) != settings.get(*name)).collect();
    tracing::info!(?changed, "the broker has other settings");
    *told = settings;
    Ok(())
}
