//! What a group looks like from outside.

use crate::classic::{Member, State};
use crate::coordinator::{Coordinator, Described, DescribedMember};
use crate::error;

impl Coordinator {
    /// A group for `describe`; an unknown one is Dead, as Kafka says.
    pub fn describe(&self, name: &str) -> Described {
        if !self.is_loaded() {
            return Described { error: error::COORDINATOR_LOAD_IN_PROGRESS, ..Described::default() };
        }
        let Some(group) = self.groups.get(name) else {
            return Described { error: error::GROUP_ID_NOT_FOUND, state: "Dead", ..Described::default() };
        };
        let member = |(id, m): (&String, &Member)| DescribedMember {
            id: id.clone(),
            instance: m.instance.clone(),
            client_id: m.client_id.clone(),
            client_host: m.client_host.clone(),
            subscription: group.subscription(m),
            assignment: m.assignment.clone(),
        };
        Described {
            error: error::NONE,
            state: group.state_name(),
            protocol_type: group.protocol_type.clone(),
            protocol: group.protocol.clone().filter(|_| group.state == State::Stable).unwrap_or_default(),
            members: group.members.iter().map(member).collect(),
        }
    }
}
