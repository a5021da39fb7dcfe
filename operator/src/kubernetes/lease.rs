//! Who acts: one operator at a time, by a Lease, whose number of transitions is the fencing token that agents check.
//!
//! The rules of client-go's leader election: another's lease is taken only when it was not renewed for its whole time by our own
//! clock, so that clocks need not agree. Each time the lease is taken the token grows, also by the operator that had it before. Must
//! not know: what the one that acts does. Read first: [`turn`], [`Leadership`].

use std::cell::Cell;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use super::api::{Api, ApiError};
use super::names;
use crate::plant::{Plant, is_planted};

/// The lease's name where no other is given.
pub const LEASE: &str = "streamkeeper-operator";
/// How long a lease is good without being renewed, for others.
const DURATION: Duration = Duration::from_secs(15);
/// How long it is good for the one that holds it: less, so that it stops before another begins.
const GOOD_FOR: Duration = Duration::from_secs(10);
/// How often it is renewed, or looked at; and how soon again after a failure.
const EVERY: Duration = Duration::from_secs(4);
const FAILED: Duration = Duration::from_secs(1);

/// Which lease decides: the operators of one installation share it, those of another have their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Its namespace: that of the operators.
    pub namespace: String,
    /// Its name.
    pub lease: String,
}

impl Default for Seat {
    /// Of an operator that runs outside of a cluster.
    fn default() -> Self {
        Self { namespace: "default".to_owned(), lease: LEASE.to_owned() }
    }
}

impl std::fmt::Display for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.lease)
    }
}

/// Whether this operator acts.
#[derive(Debug, Default)]
pub struct Leadership {
    seat: Seat,
    held: Cell<Option<(i64, Instant)>>,
    /// The least number of transitions that the lease shall have once it is ours.
    least: Cell<i32>,
}

impl Leadership {
    /// Not held yet.
    pub fn of(seat: Seat) -> Self {
        Self { seat, ..Self::default() }
    }

    /// The lease.
    pub fn seat(&self) -> &Seat {
        &self.seat
    }

    /// The fencing token, while the lease is held.
    pub fn token(&self) -> Option<i64> {
        self.token_at(Instant::now())
    }

    /// Agents have seen this token, and the ensemble is ours by a read of now. A greater one than ours then comes from a lease that is gone
    /// (deleted, or of an earlier installation), or from an operator that took this lease after us. The token keeps the latter safe from
    /// us, so ours grows only as we renew the lease: that write is refused if another has taken it.
    pub fn outrun(&self, seen: i64) {
        if self.token().is_some_and(|token| seen > token) {
            self.least.set(self.least.get().max(i32::try_from(seen).unwrap_or(i32::MAX)));
        }
    }

    fn token_at(&self, now: Instant) -> Option<i64> {
        let (token, until) = self.held.get()?;
        (now < until).then_some(token)
    }
}

/// What is done about the lease now.
#[derive(Clone, Debug, PartialEq)]
pub enum Turn {
    /// Nobody made one yet.
    Make(LeaseSpec),
    /// It is ours, or free, or was not renewed in time.
    Write(LeaseSpec),
    /// Another holds it.
    Wait,
}

/// What another holder was seen with, and since when by our clock.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    spec: LeaseSpec,
    since: Instant,
}

/// Decides. `ours` is the number of transitions with which we hold it, if we do.
pub fn turn(
    lease: Option<&LeaseSpec>,
    me: &str,
    ours: Option<i32>,
    seen: &mut Option<Seen>,
    (now, wall): (Instant, Timestamp),
) -> Turn {
    let Some(there) = lease else {
        return Turn::Make(ours_now(me, 0, wall, wall));
    };
    let transitions = there.lease_transitions.unwrap_or(0);
    let holder = there.holder_identity.as_deref().unwrap_or_default();
    if holder == me && ours == Some(transitions) {
        let since = there.acquire_time.clone().map_or(wall, |time| time.0);
        return Turn::Write(ours_now(me, transitions, since, wall));
    }
    // The one before us under our own name is gone: names of pods are not given twice at a time.
    if holder.is_empty() || holder == me {
        return Turn::Write(ours_now(me, transitions.saturating_add(1), wall, wall));
    }
    match seen {
        Some(seen) if seen.spec == *there => {
            let seconds = u64::try_from(there.lease_duration_seconds.unwrap_or(0)).unwrap_or(0);
            if now.duration_since(seen.since) >= Duration::from_secs(seconds) {
                return Turn::Write(ours_now(me, transitions.saturating_add(1), wall, wall));
            }
        }
        Some(_) | None => *seen = Some(Seen { spec: there.clone(), since: now }),
    }
    Turn::Wait
}

fn ours_now(me: &str, transitions: i32, acquired: Timestamp, renewed: Timestamp) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(me.to_owned()),
        lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
        lease_transitions: Some(transitions),
        acquire_time: Some(MicroTime(acquired)),
        renew_time: Some(MicroTime(renewed)),
        ..LeaseSpec::default()
    }
}

/// Holds the lease, or waits for it, for ever.
pub async fn campaign<A: Api>(api: &A, me: &str, leadership: &Leadership) {
    let mut seen = None;
    let mut ours = None;
    loop {
        match attempt(api, me, (&mut ours, &mut seen), leadership).await {
            Ok(()) => tokio::time::sleep(EVERY).await,
            Err(error) => {
                tracing::warn!(%error, "the lease was not renewed");
                tokio::time::sleep(FAILED).await;
            }
        }
    }
}

async fn attempt<A: Api>(
    api: &A,
    me: &str,
    (ours, seen): (&mut Option<i32>, &mut Option<Seen>),
    leadership: &Leadership,
) -> Result<(), ApiError> {
    let began = Instant::now();
    let Seat { namespace, lease: name } = &leadership.seat;
    let lease = api.get::<Lease>(namespace, name).await?;
    let spec = lease.as_ref().and_then(|lease| lease.spec.as_ref());
    let held = ours.filter(|_| leadership.token().is_some());
    let mut spec = match turn(spec, me, held, seen, (began, Timestamp::now())) {
        Turn::Wait => {
            *ours = None;
            leadership.held.set(None);
            return Ok(());
        }
        Turn::Make(spec) | Turn::Write(spec) => spec,
    };
    let transitions = spec.lease_transitions.unwrap_or(0).max(leadership.least.get());
    spec.lease_transitions = Some(transitions);
    let metadata = lease.as_ref().map_or_else(
        || ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() },
        |lease| lease.metadata.clone(),
    );
    let next = Lease { metadata, spec: Some(spec) };
    match lease {
        None => api.create(namespace, &next).await?,
        Some(_) => api.replace(namespace, &next).await?,
    };
    if *ours != Some(transitions) {
        tracing::info!(token = transitions + 1, holder = me, "this operator acts");
    }
    *ours = Some(transitions);
    let good_for = if is_planted(Plant::LongLease) { DURATION * 4 } else { GOOD_FOR };
    // 0 means not fenced.
    leadership.held.set(Some((i64::from(transitions) + 1, began + good_for)));
    Ok(())
}

/// Gives the lease back, so that another need not wait for its end.
pub async fn release<A: Api>(api: &A, me: &str, leadership: &Leadership) {
    if leadership.held.take().is_none() {
        return;
    }
    let Seat { namespace, lease: name } = &leadership.seat;
    let Ok(Some(mut lease)) = api.get::<Lease>(namespace, name).await else { return };
    let Some(spec) = lease.spec.as_mut().filter(|spec| spec.holder_identity.as_deref() == Some(me)) else {
        return;
    };
    spec.holder_identity = Some(String::new());
    spec.renew_time = Some(MicroTime(Timestamp::now()));
    if let Err(error) = api.replace(namespace, &lease).await {
        tracing::warn!(%error, manager = names::MANAGER, "the lease is not given back; it ends by itself");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> (Instant, Timestamp) {
        thread_local! { static BEGAN: Instant = Instant::now(); }
        let began = BEGAN.with(|began| *began);
        let wall = Timestamp::from_second(i64::try_from(second).unwrap_or(0)).expect("a time");
        (began + Duration::from_secs(second), wall)
    }

    fn written(turn: &Turn) -> Option<(String, i32)> {
        match turn {
            Turn::Make(spec) | Turn::Write(spec) => {
                Some((spec.holder_identity.clone()?, spec.lease_transitions?))
            }
            Turn::Wait => None,
        }
    }

    #[test]
    fn the_first_makes_it_and_renews_it() {
        let mut seen = None;
        let made = turn(None, "a", None, &mut seen, at(0));
        assert_eq!(written(&made), Some(("a".to_owned(), 0)));
        let Turn::Make(spec) = made else { panic!("{made:?}") };
        let renewed = turn(Some(&spec), "a", Some(0), &mut seen, at(5));
        assert_eq!(written(&renewed), Some(("a".to_owned(), 0)));
    }

    #[test]
    fn another_waits_its_whole_time_by_its_own_clock() {
        let mut seen = None;
        let spec = ours_now("a", 3, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        assert_eq!(turn(Some(&spec), "b", None, &mut seen, at(100)), Turn::Wait);
        assert_eq!(turn(Some(&spec), "b", None, &mut seen, at(114)), Turn::Wait);
        let renewed = ours_now("a", 3, Timestamp::UNIX_EPOCH, at(1).1);
        assert_eq!(turn(Some(&renewed), "b", None, &mut seen, at(115)), Turn::Wait, "it was renewed");
        assert_eq!(turn(Some(&renewed), "b", None, &mut seen, at(129)), Turn::Wait);
        let taken = turn(Some(&renewed), "b", None, &mut seen, at(130));
        assert_eq!(written(&taken), Some(("b".to_owned(), 4)), "the token grows");
    }

    #[test]
    fn one_that_was_given_back_is_free_and_one_under_our_name_is_taken_with_another_token() {
        let mut seen = None;
        let free = ours_now("", 3, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        assert_eq!(written(&turn(Some(&free), "b", None, &mut seen, at(0))), Some(("b".to_owned(), 4)));
        let before = ours_now("b", 7, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        assert_eq!(written(&turn(Some(&before), "b", None, &mut seen, at(0))), Some(("b".to_owned(), 8)));
    }

    #[test]
    fn what_was_not_renewed_is_not_held() {
        let leadership = Leadership::default();
        assert_eq!(leadership.token(), None);
        let (began, _) = at(0);
        leadership.held.set(Some((5, began + GOOD_FOR)));
        assert_eq!(leadership.token_at(began), Some(5));
        assert_eq!(leadership.token_at(began + GOOD_FOR), None);
        assert_eq!(leadership.least.get(), 0);
        assert!(GOOD_FOR + EVERY < DURATION, "it ends for its holder before another may take it");
    }

    #[test]
    fn only_the_holder_outruns_what_agents_have_seen() {
        let leadership = Leadership::default();
        leadership.outrun(9);
        assert_eq!(leadership.least.get(), 0, "it may have been taken since");
        leadership.held.set(Some((1, Instant::now() + GOOD_FOR)));
        leadership.outrun(1);
        assert_eq!(leadership.least.get(), 0);
        leadership.outrun(9);
        assert_eq!(leadership.least.get(), 9, "the next token is 10");
    }
}
