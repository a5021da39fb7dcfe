//! Leaving, by word or by silence.
//!
//! Must not know: offsets. Read first: [`Coordinator::leave`], [`Coordinator::tick`].

use streamkeeper_base::Instant;

use crate::api::Leave;
use crate::coordinator::Coordinator;
use crate::error;
use crate::join::refused;
use crate::sync::unsynced;

impl Coordinator {
    /// Members leave; one error number each.
    ///
    /// # Errors
    /// Kafka's error number for the whole request, if this is not the group's coordinator now.
    pub fn leave(&mut self, name: &str, leaving: &[Leave]) -> Result<Vec<i16>, i16> {
        if let Some(error) = self.unavailable() {
            return Err(error);
        }
        let Some(group) = self.groups.get_mut(name) else {
            return Ok(leaving.iter().map(|_| error::UNKNOWN_MEMBER_ID).collect());
        };
        let mut errors = Vec::new();
        let mut gone: Vec<String> = Vec::new();
        for leave in leaving {
            if group.promised.remove(&leave.member).is_some() {
                errors.push(error::NONE);
                continue;
            }
            // An operator removes a static member by its name alone (KIP-345).
            let by_name = leave.instance.as_deref().filter(|_| leave.member.is_empty());
            let id =
                by_name.and_then(|i| group.holder(i)).map_or_else(|| leave.member.clone(), str::to_owned);
            let mut error = group.check_identity(&id, leave.instance.as_deref());
            if gone.contains(&id) {
                error = error::UNKNOWN_MEMBER_ID;
            }
            if error == error::NONE {
                gone.push(id);
            }
            errors.push(error);
        }
        self.remove(name, &gone);
        Ok(errors)
    }

    /// Takes members out; the others rebalance.
    fn remove(&mut self, name: &str, gone: &[String]) {
        let (now, delay) = (self.now, self.config.initial_rebalance_delay);
        let Some(group) = self.groups.get_mut(name) else { return };
        let (mut joining, mut syncing) = (Vec::new(), Vec::new());
        for id in gone {
            if let Some(member) = group.members.remove(id) {
                joining.extend(member.joining);
                syncing.extend(member.syncing);
            }
        }
        let held = if gone.is_empty() { Vec::new() } else { group.prepare(now, delay) };
        joining.into_iter().for_each(|r| self.reply(r, refused(error::UNKNOWN_MEMBER_ID, "")));
        syncing.into_iter().for_each(|r| self.reply(r, unsynced(error::UNKNOWN_MEMBER_ID)));
        self.refuse_syncs(held);
        // Even when nobody left: a promised id that is gone may have been all that was waited for.
        self.maybe_complete(name);
        self.settle(name);
    }

    /// Sessions that ended, rebalances that are due, offsets that outlived their group.
    pub fn tick(&mut self) {
        if self.unavailable().is_some() {
            return;
        }
        self.expire_offsets();
        let now = self.now;
        if self.next_due.is_none_or(|due| now < due) {
            return;
        }
        let is_due = |due: Option<Instant>| due.is_some_and(|due| due <= now);
        let names: Vec<String> =
            self.groups.iter().filter(|(_, g)| is_due(g.due())).map(|(name, _)| name.clone()).collect();
        for name in names {
            let Some(group) = self.groups.get_mut(&name) else { continue };
            group.promised.retain(|_, until| *until > now);
            let expired = group.expired(now);
            self.remove(&name, &expired);
        }
        self.next_due = self.groups.values().filter_map(crate::group::Group::due).min();
    }
}
