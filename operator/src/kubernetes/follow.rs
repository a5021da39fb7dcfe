//! Follows the watch of one kind for ever, into a cache: lists what there is, hears what becomes of it, and lists anew when the API server
//! does not remember any more where the watch was (410 Gone).
//!
//! Must not know: what the objects are for. Read first: [`follow`].

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::Error as ClientError;
use kube::runtime::watcher::{Config, Error, Event};
use kube::runtime::{WatchStreamExt, watcher};

use super::api::Object;
use super::cache::Feed;

/// How soon everything is listed anew after a watch was refused as too old.
const ANEW: Duration = Duration::from_secs(1);

/// Who is told what becomes of a watch.
pub trait Listener<K> {
    /// Everything was listed for the first time.
    fn filled(&self);
    /// The server refuses to list, and will again until somebody does something.
    fn refused(&self);
    /// An object may have changed.
    fn touched(&self, object: &K);
}

/// Feeds a cache for ever.
pub async fn follow<K: Object>(
    api: kube::Api<K>,
    config: Config,
    mut feed: Feed<K>,
    listener: impl Listener<K>,
) {
    let mut filled = false;
    loop {
        let mut events = std::pin::pin!(watcher(api.clone(), config.clone()).default_backoff());
        while let Some(event) = events.next().await {
            let event = match event {
                Ok(event) => event,
                Err(error) => {
                    let namespace = feed.namespace().unwrap_or("all");
                    tracing::warn!(kind = %K::kind(&()), namespace, %error, "the watch is begun anew");
                    if is_refused(&error) {
                        listener.refused();
                    }
                    if is_refused_as_old(&error) {
                        break;
                    }
                    continue;
                }
            };
            let is_whole = matches!(event, Event::InitDone);
            let changed: Vec<Arc<K>> = feed.take(event);
            if is_whole && !std::mem::replace(&mut filled, true) {
                listener.filled();
            }
            changed.iter().for_each(|object| listener.touched(object));
        }
        tokio::time::sleep(ANEW).await;
    }
}

/// A list that expired half way, and a server that has too much to do, are none of that.
fn is_refused(error: &Error) -> bool {
    let Error::InitialListFailed(ClientError::Api(status)) = error else { return false };
    (400..500).contains(&status.code) && !matches!(status.code, 408 | 410 | 429)
}

/// The watcher lists anew when a watch says that it is too old, but asks for the same watch again and again when the request for it is
/// answered so.
fn is_refused_as_old(error: &Error) -> bool {
    matches!(error, Error::WatchStartFailed(ClientError::Api(status)) if status.code == 410)
}
