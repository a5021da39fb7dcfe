//! Members' processes: started, killed, stopped; what their machines take in and what they ask for.
//!
//! Must not know: what bytes mean. Read first: `World::crash`, `World::feed_coordination`.

use std::path::Path;

use streamkeeper_base::MemberId;
use streamkeeper_base::Random;
use streamkeeper_member::io::{Input, Output};
use streamkeeper_member::message::{FromCoordination, ToBroker, ToCoordination};
use streamkeeper_member::record::Owner;
use streamkeeper_storage::disk::{Crash, Disk};

use super::{Event, TICK_US, World};
use crate::host::{DATA, Job};
use crate::trace;

impl World {
    /// Starts a machine's process; a member that refuses what its own disk holds is a violation.
    pub(crate) fn start(&mut self, member: MemberId) {
        if self.host(member).process.is_some() {
            return;
        }
        let (options, now_us, seed) = (self.options.clone(), self.now_us, self.random.next_u64());
        if let Err(reason) = self.host_mut(member).start(&options, now_us, seed) {
            assert!(self.is_disk_full(member), "member {member} cannot start from its own disk: {reason}");
            // It says so and ends; whoever runs it starts it again.
            return self.ended_full(member, "at its start");
        }
        let host = self.host_mut(member);
        let life = host.life;
        let mut outputs = Vec::new();
        if let Some(process) = &mut host.process {
            // As in an agent's configuration: every agent there is, whether the ensemble knows it or not.
            let all = (0..options.voters + options.joiners).map(MemberId);
            process.peers = all.filter(|id| *id != member).collect();
            process.coordination.announce(&mut outputs);
        }
        let index = usize::try_from(member.0).expect("ids are small");
        self.checkers.started(&self.hosts[index]);
        outputs.into_iter().for_each(|output| self.coordination_output(member, output));
        let first = self.random.below(TICK_US);
        self.after(first, Event::Tick { member, life });
    }

    /// Kills a process; with `Crash::Power` its machine loses what was not flushed.
    pub(crate) fn crash(&mut self, member: MemberId, crash: Crash, restart_us: Option<u64>) {
        trace::fault(self.now_us, || format!("{member} dies: {crash:?}"));
        let torn = crash == Crash::Power && self.random.percent(50);
        let operations = 1 + self.random.below(3);
        let silent = self.random.percent(30);
        let host = self.host_mut(member);
        host.is_paused = false;
        if let Some(mut process) = host.process.take()
            && torn
            && process.is_committing
        {
            // The power goes in the middle of the write.
            host.disk.set_operations_left(Some(operations));
            let result = process.committer.commit();
            drop(result);
        }
        host.disk.crash(crash);
        if crash == Crash::Power {
            host.boot += 1;
            host.is_lossy = true;
            self.counts.power_cuts += 1;
        } else {
            self.counts.kills += 1;
        }
        self.checkers.crashed(member, crash);
        self.drop_connections_of(member, silent);
        if let Some(delay) = restart_us {
            self.after(delay, Event::Start { member });
        }
    }

    fn is_disk_full(&self, member: MemberId) -> bool {
        self.host(member).disk.free_bytes(Path::new(DATA)).is_ok_and(|free| free < u64::MAX)
    }

    /// A member without room ends; nothing that it said may be untrue.
    fn ended_full(&mut self, member: MemberId, why: &str) {
        trace::fault(self.now_us, || format!("{member} ends {why}: its disk is full"));
        self.counts.full_ends += 1;
        let host = self.host_mut(member);
        host.process = None;
        host.is_paused = false;
        host.disk.crash(Crash::Process);
        self.checkers.crashed(member, Crash::Process);
        self.drop_connections_of(member, false);
        let delay = 200_000 + self.random.below(500_000);
        self.after(delay, Event::Start { member });
    }

    /// The others learn at once that a process is gone, or only after a while (its machine is gone, too).
    pub(super) fn drop_connections_of(&mut self, member: MemberId, silent: bool) {
        let delay = |random: &mut Random| if silent { 2_000_000 } else { random.below(5_000) };
        let ids: Vec<u64> = self.links.connections.keys().copied().collect();
        for id in ids {
            let Some(connection) = self.links.connections.get_mut(&id) else { continue };
            let Some(gone) = connection.ends.iter().position(|e| e.member == member) else { continue };
            connection.ends[gone].is_open = false;
            let wait = delay(&mut self.random);
            self.after(wait, Event::LinkLost { connection: id, end: 1 - gone });
        }
        let ids: Vec<u64> = self.clients.connections.keys().copied().collect();
        for id in ids {
            let Some(connection) = self.clients.connections.get_mut(&id) else { continue };
            if connection.member == member {
                connection.server_open = false;
                let wait = delay(&mut self.random);
                self.after(wait, Event::ClientLost { connection: id });
            }
        }
    }

    pub(super) fn tick(&mut self, member: MemberId, life: u64) {
        self.dial(member, life);
        self.feed_coordination(member, Input::Tick);
        self.feed_broker(member, Input::Tick);
        self.feed_held(member);
        let next = self.host(member).true_us(TICK_US);
        self.after(next, Event::Tick { member, life });
    }

    pub(crate) fn feed_coordination(&mut self, member: MemberId, input: Input<ToCoordination>) {
        let now_us = self.now_us;
        let host = self.host_mut(member);
        let clocks = host.clocks(now_us);
        let Some(process) = &mut host.process else { return };
        let mut outputs = Vec::new();
        process.coordination.handle(clocks, input, &mut outputs);
        self.checkers.after_coordination(&self.hosts, member, &outputs);
        outputs.into_iter().for_each(|output| self.coordination_output(member, output));
    }

    pub(crate) fn feed_broker(&mut self, member: MemberId, input: Input<ToBroker>) {
        let now_us = self.now_us;
        let host = self.host_mut(member);
        let clocks = host.clocks(now_us);
        let Some(process) = &mut host.process else { return };
        let mut outputs = Vec::new();
        process.broker.handle(clocks, input, &mut outputs);
        self.checkers.after_broker(&self.hosts, member);
        outputs.into_iter().for_each(|output| self.broker_output(member, output));
    }

    pub(super) fn told_broker(&mut self, member: MemberId, message: ToBroker) {
        if let (ToBroker::Coordination(FromCoordination::Peers(addresses)), Some(process)) =
            (&message, &mut self.host_mut(member).process)
            && !addresses.is_empty()
        {
            process.peers = addresses.keys().copied().filter(|id| *id != member).collect();
        }
        self.feed_broker(member, Input::Message(message));
    }

    pub(super) fn coordination_output(&mut self, member: MemberId, output: Output<FromCoordination>) {
        match output {
            Output::Tell(FromCoordination::HandedOver) => self.stop_cleanly(member),
            Output::Tell(message) => self.tell_broker(member, ToBroker::Coordination(message)),
            Output::WriteSnapshot { zxid, chunks } => {
                let Some(life) = self.life(member) else { return };
                let delay = self.flush_us() * 2;
                self.after(delay, Event::Snapshot { member, life, zxid, chunks });
            }
            other => self.output(member, Owner::Coordination, other),
        }
    }

    pub(super) fn broker_output(&mut self, member: MemberId, output: Output<ToCoordination>) {
        match output {
            Output::Tell(message) => self.tell_coordination(member, message),
            other => self.output(member, Owner::Broker, other),
        }
    }

    pub(super) fn tell_broker(&mut self, member: MemberId, message: ToBroker) {
        let arrival = self.told_at(member, 1);
        if let Some(life) = self.life(member) {
            self.at(arrival, Event::ToBroker { member, life, message });
        }
    }

    pub(crate) fn tell_coordination(&mut self, member: MemberId, message: ToCoordination) {
        let arrival = self.told_at(member, 0);
        if let Some(life) = self.life(member) {
            self.at(arrival, Event::ToCoordination { member, life, message });
        }
    }

    /// Messages between threads arrive in order, after a while.
    pub(super) fn told_at(&mut self, member: MemberId, to: usize) -> u64 {
        let arrival = self.now_us + self.random.below(300);
        let Some(process) = &mut self.host_mut(member).process else { return arrival };
        process.last_told_us[to] = process.last_told_us[to].max(arrival);
        process.last_told_us[to]
    }

    pub(super) fn output<N>(&mut self, member: MemberId, owner: Owner, output: Output<N>) {
        trace::output(self.now_us, member, &output);
        match output {
            Output::Send { connection, piece } => self.send_to_client(connection.0, piece),
            Output::Close { connection } => self.close_client(connection.0),
            Output::PeerSend { peer, link, kind, body } => self.peer_send(member, peer, link, kind, &body),
            Output::PeerReset { peer, link } => {
                let connection =
                    self.host(member).process.as_ref().and_then(|p| p.links.get(&(peer, link)).copied());
                connection.into_iter().for_each(|id| self.break_link(id));
            }
            Output::Append { ticket, kind, payload } => {
                self.append(member, Job::Append { owner, ticket, kind, payload });
            }
            Output::Release { below } => self.append(member, Job::Release { owner, below }),
            Output::SyncFiles { token, files } => {
                let Some(life) = self.life(member) else { return };
                let delay = self.flush_us();
                self.after(delay, Event::FilesSynced { member, life, token, files });
            }
            Output::Fatal { reason } => panic!("member {member} gives up: {reason}"),
            Output::WriteSnapshot { .. } | Output::Tell(_) | Output::Warn { .. } => {}
        }
    }

    pub(super) fn flush_us(&mut self) -> u64 {
        let mean = self.options.flush_us;
        mean / 2 + self.random.below(mean)
    }

    pub(super) fn append(&mut self, member: MemberId, job: Job) {
        let Some(process) = &mut self.host_mut(member).process else { return };
        process.queued.push(job);
        self.begin_commit(member);
    }

    /// Everything queued meanwhile goes into one flush.
    pub(super) fn begin_commit(&mut self, member: MemberId) {
        let delay = self.flush_us();
        let Some(life) = self.life(member) else { return };
        let Some(process) = &mut self.host_mut(member).process else { return };
        if process.is_committing || process.queued.is_empty() {
            return;
        }
        process.is_committing = true;
        for job in std::mem::take(&mut process.queued) {
            match job {
                Job::Append { owner, ticket, kind, payload } => {
                    process.committer.append(owner, ticket, kind, &payload);
                }
                Job::Release { owner, below } => process.committer.release(owner, below),
            }
        }
        self.after(delay, Event::Commit { member, life });
    }

    pub(super) fn committed(&mut self, member: MemberId) {
        let Some(process) = &mut self.host_mut(member).process else { return };
        process.is_committing = false;
        let committed = match process.committer.commit() {
            Ok(committed) => committed,
            Err(error) => {
                // There may be room again since the write that found none: nothing is trusted after a refusal.
                assert!(error.to_string().contains("make room"), "a healthy disk takes a commit: {error}");
                return self.ended_full(member, "because its log finds no room");
            }
        };
        if let Some(ticket) = committed.coordination {
            self.checkers.persisted(member, ticket.get());
            self.feed_coordination(member, Input::Persisted { ticket });
        }
        if let Some(ticket) = committed.broker {
            self.feed_broker(member, Input::Persisted { ticket });
        }
        self.begin_commit(member);
    }

    /// A stop in good order: everything queued is flushed, then it is noted that the disk was closed.
    pub(super) fn stop_cleanly(&mut self, member: MemberId) {
        let Some(mut process) = self.host_mut(member).process.take() else { return };
        for job in std::mem::take(&mut process.queued) {
            if let Job::Append { owner, ticket, kind, payload } = job {
                process.committer.append(owner, ticket, kind, &payload);
            }
        }
        let committed = process.committer.commit().map_err(|error| error.to_string());
        let closed = committed.and_then(|_| process.broker.close().map_err(|error| error.to_string()));
        if let Err(error) = closed {
            assert!(error.contains("make room"), "a healthy disk takes a stop: {error}");
            return self.ended_full(member, "because it cannot stop in good order");
        }
        let host = self.host_mut(member);
        process.clean_stop.write(&host.disk, Path::new(DATA)).expect("a healthy disk notes a clean stop");
        host.disk.crash(Crash::Process);
        self.checkers.crashed(member, Crash::Process);
        self.drop_connections_of(member, false);
        let delay = 200_000 + self.random.below(800_000);
        self.after(delay, Event::Start { member });
    }
}
