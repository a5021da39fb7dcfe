//! What a group looks like from outside.
//!
//! Must not know: how it came to be so. Read first: [`Coordinator::describe`].

use bytes::Bytes;

use crate::api::{Described, DescribedMember, Listed};
use crate::coordinator::Coordinator;
use crate::error;
use crate::group::{Group, Member, State};

impl Coordinator {
    /// A group for `describe`; an unknown one is Dead, as Kafka says. Protocol, subscriptions and assignments are shown
    /// only while they hold.
    pub fn describe(&self, name: &str) -> Described {
        if let Some(error) = self.unavailable() {
            return Described { error, ..Described::default() };
        }
        let Some(group) = self.groups.get(name) else {
            return Described { error: error::GROUP_ID_NOT_FOUND, state: "Dead", ..Described::default() };
        };
        let is_stable = group.state == State::Stable;
        let shown = |bytes: Bytes| if is_stable { bytes } else { Bytes::new() };
        let member = |(id, m): (&String, &Member)| DescribedMember {
            id: id.clone(),
            instance: m.instance.clone(),
            client_id: m.client_id.clone(),
            client_host: m.client_host.clone(),
            subscription: shown(group.subscription(m)),
            assignment: shown(m.assignment.clone()),
        };
        Described {
            error: error::NONE,
            state: group.state_name(),
            protocol_type: group.protocol_type.clone(),
            protocol: group.protocol.clone().filter(|_| is_stable).unwrap_or_default(),
            members: group.members.iter().map(member).collect(),
        }
    }

    /// Groups for `list`; none while this does not coordinate.
    pub fn list(&self) -> Vec<Listed> {
        let listed = |(name, group): (&String, &Group)| Listed {
            group: name.clone(),
            protocol_type: group.protocol_type.clone(),
            state: group.state_name(),
        };
        self.groups.iter().filter(|_| self.is_loaded()).map(listed).collect()
    }
}
