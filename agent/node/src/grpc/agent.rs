//! How a service asks the coordination thread: a token goes out, an answer comes back with it.
//!
//! Must not know: what is asked. Read first: [`Agent::change`], [`Agent::survey`]; the coordination thread's side is [`Facing`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use streamkeeper_base::{Incarnation, MemberId};
use streamkeeper_member::control::{Change, ClusterImage, CommandError, Facts, Guard, Outcome};
use streamkeeper_member::message::{Asker, FromCoordination, Status, ToCoordination};
use tokio::sync::{oneshot, watch};

use super::settings::BrokerSettings;
use crate::coordination_thread::ToHub;
use crate::shell::hub::Remote;

/// An answer that takes longer is not waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Kafka's NOT_CONTROLLER, what an answer is when there is no quorum leader.
const NOT_CONTROLLER: i16 = 41;

/// How the ensemble stands: the quorum leader's facts, and the image that they fit.
pub(crate) type Found = (Arc<Facts>, Arc<ClusterImage>);

type Answer = Result<Outcome, CommandError>;

enum Waiting {
    Answer(oneshot::Sender<Answer>),
    Survey(oneshot::Sender<Option<Found>>),
}

/// What the services know of their agent.
pub(crate) struct Agent {
    /// This member.
    pub(crate) member: MemberId,
    /// Its disk.
    pub(crate) incarnation: Incarnation,
    /// The cluster's id, 32 hexadecimal digits.
    pub(crate) cluster_id: String,
    /// Its broker's settings.
    pub(super) broker: BrokerSettings,
    to_coordination: ToHub,
    next_token: AtomicU64,
    waiting: Mutex<BTreeMap<u64, Waiting>>,
    facing: watch::Sender<View>,
}

/// What coordination said last.
#[derive(Clone, Default)]
pub(crate) struct View {
    /// How it stands.
    pub(crate) status: Option<Arc<Status>>,
    /// The cluster image.
    pub(crate) image: Arc<ClusterImage>,
    /// True once the process was told to stop.
    pub(crate) is_stopping: bool,
}

impl Agent {
    pub(crate) fn new(
        member: MemberId,
        incarnation: Incarnation,
        cluster_id: String,
        to_coordination: ToHub,
        broker: BrokerSettings,
    ) -> Arc<Self> {
        Arc::new(Self {
            member,
            incarnation,
            cluster_id,
            broker,
            to_coordination,
            next_token: AtomicU64::new(1),
            waiting: Mutex::default(),
            facing: watch::Sender::default(),
        })
    }

    /// What coordination said last, and whenever it says more.
    pub(crate) fn view(&self) -> watch::Receiver<View> {
        self.facing.subscribe()
    }

    /// The process stops: whoever asks for its health is told so at once.
    pub(crate) fn stopping(&self) {
        self.facing.send_modify(|view| view.is_stopping = true);
    }

    /// Asks for a change, and waits until it is committed and applied here.
    pub(crate) async fn change(&self, guard: Guard, change: Change) -> Answer {
        let (sender, receiver) = oneshot::channel();
        let ask = |token| ToCoordination::Change { token, guard, change };
        self.ask(Waiting::Answer(sender), ask, receiver).await.unwrap_or_else(|| {
            let message = "no answer came in time: the change may or may not be done; ask again".to_owned();
            Err(CommandError { code: NOT_CONTROLLER, message })
        })
    }

    /// How the ensemble stands now; `None` if there is no quorum leader.
    pub(crate) async fn survey(&self, with_sizes: bool) -> Option<Found> {
        let (sender, receiver) = oneshot::channel();
        let ask = |token| ToCoordination::Survey { token, with_sizes };
        self.ask(Waiting::Survey(sender), ask, receiver).await.flatten()
    }

    async fn ask<T>(
        &self,
        waiting: Waiting,
        message: impl FnOnce(u64) -> ToCoordination,
        receiver: oneshot::Receiver<T>,
    ) -> Option<T> {
        let token = self.next_token.fetch_add(1, Ordering::Relaxed);
        self.table().insert(token, waiting);
        // Removes the entry also when the caller gives up in between.
        let _forget = Forget { agent: self, token };
        self.to_coordination.send(Remote::Message(message(token))).ok()?;
        tokio::time::timeout(PATIENCE, receiver).await.ok()?.ok()
    }

    fn table(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Waiting>> {
        // What a panicking thread leaves behind is whole: every step inserts or removes one entry.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Forget<'a> {
    agent: &'a Agent,
    token: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.agent.table().remove(&self.token);
    }
}

/// The coordination thread's side: what its machine says, as far as it is for the services.
pub(crate) struct Facing(pub(crate) Arc<Agent>);

impl Facing {
    /// Passes a notice on; nobody waits any more for one whose caller gave up.
    pub(crate) fn tell(&self, notice: &FromCoordination) {
        match notice {
            FromCoordination::Answered { token, asker: Asker::Control, answer } => {
                if let Some(Waiting::Answer(sender)) = self.0.table().remove(token) {
                    let _ = sender.send(answer.clone());
                }
            }
            FromCoordination::Surveyed { token, found } => {
                if let Some(Waiting::Survey(sender)) = self.0.table().remove(token) {
                    let _ = sender.send(found.clone());
                }
            }
            FromCoordination::Image(image) => {
                self.0.facing.send_modify(|view| view.image = image.clone());
            }
            FromCoordination::Status(status) => {
                self.0.facing.send_modify(|view| view.status = Some(status.clone()));
            }
            FromCoordination::Answered { asker: Asker::Broker, .. }
            | FromCoordination::Peers(_)
            | FromCoordination::Identified(_)
            | FromCoordination::HandedOver => {}
        }
    }
}
