//! reconfig: a client changes the ensemble (ZOOKEEPER-107). The quorum leader moves it there step by step, one change at a time.
//!
//! A member joins as observer and votes only once it is caught up, so that no step leaves the ensemble without a quorum that has
//! everything. Read first: [`Reconfiguration`], [`Coordination::lead_reconfig`].

use std::collections::BTreeMap;
use std::time::Duration;

use streamkeeper_base::znode::{ErrorCode, Identity, perms};
use streamkeeper_base::{Address, Instant, MemberId, ServerLine, Zxid};
use streamkeeper_tree::{CONFIG_PATH, may};
use streamkeeper_wire::jute::Reconfig;
use streamkeeper_zab::{Member, MemberRole, Membership, MembershipChange, ProposeError};

use super::Coordination;
use super::forward::Response;
use crate::io::Output;
use crate::message::FromCoordination;

/// Joining voters must have caught up within this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// A change that is under way.
#[derive(Debug)]
pub(super) struct Reconfiguration {
    target: Membership,
    /// Where to go back to if the target cannot be reached in time.
    original: Membership,
    /// Who waits for it; nobody once it was refused.
    asker: Option<(MemberId, u64)>,
    deadline: Instant,
}

impl Coordination {
    /// A membership is committed: whoever reads `/zookeeper/config` learns of it, and its watches fire.
    pub(super) fn membership_committed(&mut self, zxid: Zxid, membership: &Membership) {
        self.applied = zxid;
        self.out.push(Output::Tell(FromCoordination::Peers(super::addresses(membership))));
        if let Some(trigger) = self.tree.set_config(zxid, &server_lines(membership)) {
            self.fire(zxid, &trigger);
        }
    }

    /// The first leader writes the ensemble to the log: until then each member knows it from its own configuration alone.
    pub(super) fn record_membership(&mut self) {
        if self.tree.config_version() == 0 {
            let mut actions = Vec::new();
            // A failure means that the role is gone again, or that a change is under way, which is recorded as well.
            let _ = self.zab.record_membership(&mut actions);
            self.carry_out(actions);
        }
    }

    /// Judges a client's change in the order of PrepRequestProcessor, and begins it.
    pub(super) fn lead_reconfig(
        &mut self,
        origin: MemberId,
        number: u64,
        who: &[Identity],
        wanted: &Reconfig,
    ) {
        let begun = self.judge_reconfig(who, wanted);
        let (now, membership) = (self.clocks.now, self.zab.membership().clone());
        match (begun, &mut self.leading) {
            (Ok(target), Some(leading)) => {
                let asker = Some((origin, number));
                let (original, deadline) = (membership, now + PATIENCE);
                leading.reconfiguration = Some(Reconfiguration { target, original, asker, deadline });
                self.continue_reconfig();
            }
            (Err(code), _) => self.reject_reconfig(origin, number, code),
            (Ok(_), None) => self.respond(origin, number, Response::Lost),
        }
    }

    fn judge_reconfig(&self, who: &[Identity], wanted: &Reconfig) -> Result<Membership, ErrorCode> {
        let settings = &self.config.zookeeper;
        if !settings.reconfig_enabled {
            return Err(ErrorCode::RECONFIG_DISABLED);
        }
        if !settings.is_replicated {
            return Err(ErrorCode::UNIMPLEMENTED);
        }
        if self.zab.is_changing() || self.leading.as_ref().is_none_or(|l| l.reconfiguration.is_some()) {
            return Err(ErrorCode::RECONFIG_IN_PROGRESS);
        }
        if wanted.config_version != -1 && wanted.config_version != self.tree.config_version() {
            return Err(ErrorCode::BAD_VERSION);
        }
        let current = self.zab.membership();
        let target = wanted_membership(current, wanted).ok_or(ErrorCode::BAD_ARGUMENTS)?;
        // Who is not a member yet has still to show that it keeps up.
        let synced = self.zab.synced_learners();
        let counts = |id: &MemberId| {
            *id == self.config.member || synced.contains(id) || !current.members.contains_key(id)
        };
        if !target.is_quorum(&target.voters().filter(counts).collect()) {
            return Err(ErrorCode::NEW_CONFIG_NO_QUORUM);
        }
        if !may(self.tree.acl_of_path(CONFIG_PATH), perms::WRITE, who) {
            return Err(ErrorCode::NO_AUTH);
        }
        let usable = target.members.keys().all(|id| ServerLine::may_be(*id));
        if usable { Ok(target) } else { Err(ErrorCode::BAD_ARGUMENTS) }
    }

    fn reject_reconfig(&mut self, origin: MemberId, number: u64, code: ErrorCode) {
        let after = self.zab.last_logged();
        self.respond(origin, number, Response::Rejected { after, codes: vec![code] });
    }

    /// Takes the next step once the one before it is committed.
    pub(super) fn continue_reconfig(&mut self) {
        let Some(under_way) = self.leading.as_ref().and_then(|l| l.reconfiguration.as_ref()) else { return };
        if self.zab.is_changing() {
            return;
        }
        let Some(change) = next_change(self.zab.membership(), &under_way.target) else {
            return self.reconfigured();
        };
        let is_late = self.clocks.now >= under_way.deadline;
        let mut actions = Vec::new();
        let result = self.zab.change_membership(&change, &mut actions);
        self.carry_out(actions);
        match result {
            Err(ProposeError::NotCaughtUp) if is_late => self.give_up_reconfig(),
            Err(ProposeError::UnknownMember | ProposeError::LastVoter | ProposeError::NoMajority) => {
                self.give_up_reconfig();
            }
            Ok(_)
            | Err(
                ProposeError::NotCaughtUp
                | ProposeError::ChangeInProgress
                | ProposeError::NotReady
                | ProposeError::NotLeading,
            ) => {}
        }
    }

    fn reconfigured(&mut self) {
        let done = self.leading.as_mut().and_then(|l| l.reconfiguration.take());
        if let Some((origin, number)) = done.and_then(|done| done.asker) {
            self.respond(origin, number, Response::Synced { after: self.applied });
        }
    }

    /// The target cannot be reached: whoever waits is told, and the ensemble goes back to what it was.
    fn give_up_reconfig(&mut self) {
        let Some(leading) = &mut self.leading else { return };
        let Some(under_way) = &mut leading.reconfiguration else { return };
        let asker = under_way.asker.take();
        if under_way.target == under_way.original {
            leading.reconfiguration = None;
        } else {
            under_way.target = under_way.original.clone();
            under_way.deadline = self.clocks.now + PATIENCE;
        }
        if let Some((origin, number)) = asker {
            self.reject_reconfig(origin, number, ErrorCode::NEW_CONFIG_NO_QUORUM);
        }
    }
}

/// The lines of `/zookeeper/config`, in order of the servers' numbers.
fn server_lines(membership: &Membership) -> Vec<String> {
    let observes = |id: &MemberId| !membership.is_voter(*id);
    let addresses = super::addresses(membership);
    addresses.iter().map(|(id, address)| ServerLine::of(*id, address, observes(id)).to_string()).collect()
}

/// The ensemble that a client wants; `None` if what it says makes no sense.
fn wanted_membership(current: &Membership, wanted: &Reconfig) -> Option<Membership> {
    let mut lines: BTreeMap<MemberId, ServerLine> = BTreeMap::new();
    let listed = |text: &str| -> Option<Vec<ServerLine>> {
        let entries = text.split([',', '\n']).map(str::trim);
        let entries = entries.filter(|line| !line.is_empty() && !line.starts_with("version="));
        entries.map(|line| ServerLine::parse(line).ok().filter(|line| line.client.is_some())).collect()
    };
    if wanted.new_members.is_empty() {
        for (id, address) in super::addresses(current) {
            lines.insert(id, ServerLine::of(id, &address, !current.is_voter(id)));
        }
        lines.extend(listed(&wanted.joining)?.into_iter().map(|line| (line.id, line)));
        for id in wanted.leaving.split(',').map(str::trim).filter(|id| !id.is_empty()) {
            lines.remove(&ServerLine::parse_id(id).ok()?);
        }
    } else {
        lines.extend(listed(&wanted.new_members)?.into_iter().map(|line| (line.id, line)));
    }
    let all: Vec<&ServerLine> = lines.values().collect();
    let clash = all.iter().enumerate().any(|(i, a)| all[i + 1..].iter().any(|b| share_an_address(a, b)));
    // StandaloneEnabled is ZooKeeper's default: an ensemble that was one keeps two voters at least.
    let voters = all.iter().filter(|line| !line.observer).count();
    if clash || voters < 2.min(current.voters().count()) {
        return None;
    }
    let member = |line: &ServerLine| {
        let role = if line.observer { MemberRole::Observer } else { MemberRole::Voter };
        let known = current.members.get(&line.id).and_then(|m| Address::decode(m.data.clone()).ok());
        let unchanged = known.filter(|a| ServerLine::of(line.id, a, line.observer) == *line);
        Member { role, data: unchanged.unwrap_or_else(|| line.address()).encode() }
    };
    Some(Membership { members: lines.values().map(|line| (line.id, member(line))).collect() })
}

/// QuorumServer.checkAddressDuplicate.
fn share_an_address(a: &ServerLine, b: &ServerLine) -> bool {
    let of =
        |line: &ServerLine| [(line.host.clone(), line.quorum_port), (line.host.clone(), line.election_port)];
    let client = |line: &ServerLine| line.client.as_ref().map(|c| (c.host.clone(), c.port));
    of(a).iter().any(|address| of(b).contains(address))
        || client(a).is_some_and(|address| client(b) == Some(address) && a.host == b.host)
}

/// The next single change on the way: members come before others go, and votes are given before votes are taken.
fn next_change(current: &Membership, target: &Membership) -> Option<MembershipChange> {
    let differs = |(id, member): &(&MemberId, &Member)| {
        current.members.get(id).is_none_or(|known| known.data != member.data)
    };
    if let Some((id, member)) = target.members.iter().find(differs) {
        return Some(MembershipChange::AddObserver { member: *id, data: member.data.clone() });
    }
    let promoted = target.voters().find(|id| !current.is_voter(*id)).map(MembershipChange::Promote);
    let demoted = || {
        let loses = |id: &MemberId| target.members.contains_key(id) && !target.is_voter(*id);
        current.voters().find(loses).map(MembershipChange::Demote)
    };
    let removed = || {
        let leaves = |id: &&MemberId| !target.members.contains_key(*id);
        current.members.keys().find(leaves).map(|id| MembershipChange::Remove(*id))
    };
    promoted.or_else(demoted).or_else(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: i32, role: &str) -> String {
        format!("server.{id}=h:{id}1:{id}2:{role};h:{id}3")
    }

    fn ensemble(lines: &[String]) -> Membership {
        let member = |text: &String| {
            let line = ServerLine::parse(text).expect("a line");
            let role = if line.observer { MemberRole::Observer } else { MemberRole::Voter };
            (line.id, Member { role, data: line.address().encode() })
        };
        Membership { members: lines.iter().map(member).collect() }
    }

    fn three() -> Membership {
        ensemble(&[1, 2, 3].map(|id| line(id, "participant")))
    }

    fn reconfig(joining: &str, leaving: &str) -> Reconfig {
        Reconfig { joining: joining.into(), leaving: leaving.into(), ..Reconfig::default() }
    }

    /// What the ensemble goes through.
    fn steps(target: &Membership) -> Vec<MembershipChange> {
        let mut current = three();
        let mut steps = Vec::new();
        while let Some(change) = next_change(&current, target) {
            match &change {
                MembershipChange::AddObserver { member, data } => {
                    let role = current.members.get(member).map_or(MemberRole::Observer, |m| m.role);
                    current.members.insert(*member, Member { role, data: data.clone() });
                }
                MembershipChange::Promote(id) => {
                    current.members.entry(*id).and_modify(|m| m.role = MemberRole::Voter);
                }
                MembershipChange::Demote(id) => {
                    current.members.entry(*id).and_modify(|m| m.role = MemberRole::Observer);
                }
                MembershipChange::Remove(id) => drop(current.members.remove(id)),
            }
            assert!(steps.len() < 20, "it ends");
            steps.push(change);
        }
        assert_eq!(current, *target);
        steps
    }

    #[test]
    fn a_change_adds_before_it_removes() {
        let target = wanted_membership(&three(), &reconfig(&line(4, "participant"), "1")).expect("good");
        let data = ServerLine::parse(&line(4, "participant")).expect("a line").address().encode();
        let expected = [
            MembershipChange::AddObserver { member: MemberId(4), data },
            MembershipChange::Promote(MemberId(4)),
            MembershipChange::Remove(MemberId(1)),
        ];
        assert_eq!(steps(&target), expected);
        let demoted = wanted_membership(&three(), &reconfig(&line(3, "observer"), "")).expect("good");
        assert_eq!(steps(&demoted), [MembershipChange::Demote(MemberId(3))]);
        assert_eq!(steps(&three()), []);
    }

    #[test]
    fn all_members_can_be_given_at_once() {
        let members =
            [line(2, "participant"), line(3, "participant"), line(5, "observer")].join("\n") + "\nversion=7";
        let wanted = Reconfig { new_members: members, ..Reconfig::default() };
        let target = wanted_membership(&three(), &wanted).expect("good");
        let ids: Vec<i32> = target.members.keys().map(|id| id.0).collect();
        assert_eq!(ids, [2, 3, 5]);
        assert_eq!(target.voters().count(), 2);
    }

    #[test] // PrepRequestProcessor: what makes no sense is BADARGUMENTS
    fn senseless_changes_are_refused() {
        let no_client_port = "server.4=h:41:42:observer";
        let of_another = "server.4=h:11:42:observer;43";
        for (joining, leaving) in [
            ("some thing", ""),
            (no_client_port, ""),
            (of_another, ""),
            ("", "x"),
            ("", "1,2"),
            ("", "1,2,3"),
        ] {
            assert_eq!(wanted_membership(&three(), &reconfig(joining, leaving)), None, "{joining} {leaving}");
        }
        assert!(wanted_membership(&three(), &reconfig("", "9")).is_some(), "who is not there has left");
    }

    #[test]
    fn the_lines_of_the_config_node() {
        let mut membership = three();
        membership.members.entry(MemberId(3)).and_modify(|m| m.role = MemberRole::Observer);
        let expected = [line(1, "participant"), line(2, "participant"), line(3, "observer")];
        assert_eq!(server_lines(&membership), expected);
    }
}
