//! What ends the process in good order: SIGTERM, SIGINT, the end of the parent. Heard from the first moment on, because the first process
//! of a container ignores every signal that it does not handle.
//!
//! Must not know: how a member stops. Read first: [`Stopper`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use streamkeeper_member::message::ToCoordination;
use tokio::signal::unix::{SignalKind, signal};

use crate::coordination_thread::ToHub;
use crate::shell::hub::Remote;

/// A member that was told to stop gives its leads away and hands over in this time, or stops without.
const HAND_OVER_TIME_MAX: Duration = Duration::from_secs(8);

/// Who is to be stopped: nobody before the disk is open, then the member.
type Member = Option<(ToHub, Box<dyn FnOnce() + Send>)>;

/// Listens to signals on a thread of its own.
pub(crate) struct Stopper {
    member: Arc<Mutex<Member>>,
}

impl Stopper {
    /// Listens from now on; with `with_parent` to the end of standard input, too, and then not to SIGINT, which is the parent's.
    ///
    /// # Errors
    /// The process may not handle signals, or has no thread for them.
    pub(crate) fn start(with_parent: bool) -> Result<Self> {
        let member: Arc<Mutex<Member>> = Arc::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (mut terminate, mut interrupt) = {
            let _guard = runtime.enter();
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
        };
        let told = member.clone();
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv(), if !with_parent => {}
                    () = end_of_parent(), if with_parent => {}
                }
                let member = told.lock().unwrap_or_else(PoisonError::into_inner).take();
                let Some((sender, stopping)) = member else {
                    // Nothing is served yet, and the disk is left as by any other end of a process.
                    tracing::info!("stopped before the member began");
                    std::process::exit(0);
                };
                stopping();
                // The receiver is gone only when the member stops anyway.
                let _ = sender.send(Remote::Message(ToCoordination::Stop));
                tokio::time::sleep(HAND_OVER_TIME_MAX).await;
                let _ = sender.send(Remote::Stop);
            });
        })?;
        Ok(Self { member })
    }

    /// From now on it is the member that stops, in good order; `stopping` is called first.
    pub(crate) fn stops(&self, member: &ToHub, stopping: impl FnOnce() + Send + 'static) {
        let mut stopped = self.member.lock().unwrap_or_else(PoisonError::into_inner);
        *stopped = Some((member.clone(), Box::new(stopping)));
    }
}

async fn end_of_parent() {
    let mut byte = [0];
    // The pipe never carries anything; it ends with the parent.
    while tokio::io::AsyncReadExt::read(&mut tokio::io::stdin(), &mut byte).await.is_ok_and(|n| n > 0) {}
}
