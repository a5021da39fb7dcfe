//! Faults during chaos, and their end. The ledger keeps power cuts within what the rules of replication can survive.

use std::collections::BTreeSet;

use streamkeeper_base::MemberId;
use streamkeeper_controller::{Command, Guard};
use streamkeeper_member::control::Change;
use streamkeeper_member::message::ToCoordination;
use streamkeeper_storage::disk::Crash;
use streamkeeper_zab::{MemberRole, MembershipChange};

use crate::options::Faults;
use crate::trace;
use crate::world::{Event, World};

impl World {
    /// One turn: something breaks, or mends.
    pub(crate) fn nemesis(&mut self) {
        if self.healing {
            return;
        }
        let every = self.options.nemesis_every_ms * 1000;
        let wait = every / 2 + self.random.below(every);
        self.after(wait, Event::Nemesis);
        self.settle_ledger();
        let member = MemberId(i32::try_from(self.random.below(self.hosts.len() as u64)).unwrap_or(0));
        let other = MemberId(i32::try_from(self.random.below(self.hosts.len() as u64)).unwrap_or(0));
        if self.host(member).life == 0 {
            return;
        }
        if self.random.percent(50)
            && let Some(process) = &mut self.host_mut(member).process
        {
            process.broker.drop_tails();
        }
        let Faults {
            kill,
            power,
            kill_all,
            power_all,
            pause,
            cut,
            isolate,
            reset,
            stop,
            cordon,
            reassign,
            membership,
            full,
        } = self.options.faults;
        let weights = [
            kill, power, kill_all, power_all, pause, cut, isolate, reset, stop, cordon, reassign, membership,
            full,
        ];
        let total: u64 = weights.iter().sum();
        if total == 0 {
            return;
        }
        let mut draw = self.random.below(total);
        let chosen = weights.iter().position(|weight| {
            let hit = draw < *weight;
            draw = draw.saturating_sub(*weight);
            hit
        });
        match chosen {
            Some(0) => self.kill(member, Crash::Process),
            Some(1) if self.may_lose_power(member) => self.kill(member, Crash::Power),
            Some(2) => self.all(Crash::Process),
            Some(3) => self.all(Crash::Power),
            Some(4) => self.pause(member),
            Some(5) => self.cut(member, other),
            Some(6) => self.isolate(member),
            Some(7) => self.reset_something(),
            Some(8) => self.tell_coordination(member, ToCoordination::Stop),
            Some(9) => self.cordon(member),
            Some(10) => self.reassign(member),
            Some(11) => self.change_membership(member),
            Some(12) => self.fill_disk(member),
            _ => {}
        }
    }

    fn kill(&mut self, member: MemberId, crash: Crash) {
        if self.host(member).process.is_none() {
            return;
        }
        let delay = if self.random.percent(70) { 20_000 } else { 3_000_000 };
        let delay = delay / 2 + self.random.below(delay);
        self.crash(member, crash, Some(delay));
    }

    fn all(&mut self, crash: Crash) {
        let members: Vec<MemberId> = self.hosts.iter().filter(|h| h.life > 0).map(|h| h.id).collect();
        for member in members {
            let delay = 10_000 + self.random.below(400_000);
            let restart = self.host(member).process.is_some().then_some(delay);
            self.crash(member, crash, restart);
        }
    }

    /// One machine at a time may lose what it had not flushed, until its replicas are in sync again.
    fn may_lose_power(&self, member: MemberId) -> bool {
        self.hosts.iter().all(|host| host.id == member || !host.is_lossy)
    }

    /// A machine that is in every ISR where it belongs has made up for what it lost.
    pub(crate) fn settle_ledger(&mut self) {
        let Some(image) = self.checkers.newest_image() else { return };
        for host in &mut self.hosts {
            if host.is_lossy && host.process.is_some() {
                let in_sync = image
                    .partitions()
                    .filter(|(_, _, p)| p.replicas.contains(&host.id))
                    .all(|(_, _, p)| p.isr.contains(&host.id));
                let registered = image.members.get(&host.id).is_some_and(|m| {
                    m.live
                        && host
                            .process
                            .as_ref()
                            .is_some_and(|p| p.coordination.incarnation() == m.incarnation)
                });
                host.is_lossy = !(in_sync && registered);
            }
        }
    }

    fn pause(&mut self, member: MemberId) {
        let length =
            [50_000, 400_000, 2_500_000, 6_000_000][usize::try_from(self.random.below(4)).unwrap_or(0)];
        if self.host(member).process.is_some() && !self.host(member).is_paused {
            trace::fault(self.now_us, || format!("{member} stands still for {length} us"));
            self.host_mut(member).is_paused = true;
            self.after(length, Event::Resume { member });
        }
    }

    /// Others fill the disk up; what it takes yet may be nothing at all, or enough for a while.
    fn fill_disk(&mut self, member: MemberId) {
        let free = [0, 3_000, 40_000, 300_000][usize::try_from(self.random.below(4)).unwrap_or(0)];
        let free = self.random.below(free + 1);
        let length = [300_000, 2_000_000, 6_000_000][usize::try_from(self.random.below(3)).unwrap_or(0)];
        trace::fault(self.now_us, || format!("{member} has {free} bytes left on its disk for {length} us"));
        self.counts.full_disks += 1;
        self.host(member).disk.set_free_bytes(Some(free));
        self.after(length, Event::Freed { member });
    }

    fn cut(&mut self, from: MemberId, to: MemberId) {
        if from == to {
            return;
        }
        self.counts.cuts += 1;
        trace::fault(self.now_us, || format!("the link from {from} to {to} is cut"));
        let both = self.random.percent(50);
        let length = 20_000 + self.random.below(3_000_000);
        self.cut_one(from, to, length);
        if both {
            self.cut_one(to, from, length);
        }
    }

    fn cut_one(&mut self, from: MemberId, to: MemberId, length_us: u64) {
        if self.links.cut.insert((from, to)) {
            self.after(length_us, Event::Uncut { from, to });
        }
        if self.random.percent(50) {
            let broken: Vec<u64> = self
                .links
                .connections
                .iter()
                .filter(|(_, c)| c.ends.iter().all(|e| e.member == from || e.member == to))
                .map(|(id, _)| *id)
                .collect();
            broken.into_iter().for_each(|id| self.break_link(id));
        }
    }

    fn isolate(&mut self, member: MemberId) {
        self.counts.cuts += 1;
        trace::fault(self.now_us, || format!("{member} is cut off"));
        let length = 50_000 + self.random.below(4_000_000);
        let others: Vec<MemberId> = self.hosts.iter().map(|h| h.id).filter(|id| *id != member).collect();
        for other in others {
            self.cut_one(member, other, length);
            self.cut_one(other, member, length);
        }
    }

    fn reset_something(&mut self) {
        let links: Vec<u64> = self.links.connections.keys().copied().collect();
        let clients: Vec<u64> = self.clients.connections.keys().copied().collect();
        let any = |list: &[u64], draw: u64| list.get(draw as usize % list.len().max(1)).copied();
        let draw = self.random.next_u64() >> 8;
        if self.random.percent(50) {
            any(&links, draw).into_iter().for_each(|id| self.break_link(id));
        } else {
            any(&clients, draw).into_iter().for_each(|id| self.break_client(id));
        }
    }

    fn command(&mut self, member: MemberId, command: Command) {
        self.change(member, Change::Command(command));
    }

    /// As an operator asks through any member.
    fn change(&mut self, through: MemberId, change: Change) {
        let message = ToCoordination::Change { token: 0, guard: Guard::default(), change };
        self.tell_coordination(through, message);
    }

    fn cordon(&mut self, member: MemberId) {
        let through = MemberId(0);
        let command =
            if self.random.percent(50) { Command::Cordon(member) } else { Command::Uncordon(member) };
        self.command(through, command);
    }

    fn reassign(&mut self, through: MemberId) {
        let Some(image) = self.checkers.newest_image() else { return };
        let partitions: Vec<_> = image.partitions().map(|(tp, _, p)| (tp, p.replicas.len())).collect();
        let mut members: Vec<MemberId> = image.members.keys().copied().collect();
        if partitions.is_empty() || members.is_empty() {
            return;
        }
        let (tp, count) = partitions[self.random.next_u64() as usize % partitions.len()];
        let mut replicas = Vec::new();
        while replicas.len() < count.min(3) && !members.is_empty() {
            let at = self.random.next_u64() as usize % members.len();
            replicas.push(members.swap_remove(at));
        }
        self.command(through, Command::Reassign { tp, replicas });
    }

    fn change_membership(&mut self, through: MemberId) {
        let Some(process) = &self.host(through).process else { return };
        let membership = process.coordination.zab().membership().clone();
        let voters: BTreeSet<MemberId> = membership.voters().collect();
        let observer = membership.members.iter().find(|(_, m)| m.role == MemberRole::Observer);
        let change = match observer {
            Some((id, _)) => MembershipChange::Promote(*id),
            None if voters.len() > 2 => {
                let at = self.random.next_u64() as usize % voters.len();
                let Some(id) = voters.into_iter().nth(at) else { return };
                MembershipChange::Demote(id)
            }
            None => return,
        };
        self.change(through, Change::Ensemble(change));
    }

    /// Everything mends: what follows must converge.
    pub(crate) fn heal(&mut self) {
        trace::fault(self.now_us, || "everything mends".to_owned());
        self.healing = true;
        for (from, to) in self.links.cut.clone() {
            self.uncut(from, to);
        }
        for index in 0..self.hosts.len() {
            let member = self.hosts[index].id;
            self.host(member).disk.set_free_bytes(None);
            self.start(member);
            self.command(MemberId(0), Command::Uncordon(member));
        }
    }
}
