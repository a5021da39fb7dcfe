//! The agents as one operator reaches them: answers from the model ensemble, refusals by the rules of agents, and an end of the operator
//! at any change.
//!
//! Read first: [`ModelAgents`].

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use streamkeeper_proto::settings_digest;
use streamkeeper_proto::v1alpha1 as proto;
use tonic::Code;

use super::answers;
use super::client::Life;
use super::ensemble::{Partition, Topic};
use super::laws;
use super::world::{Shared, World};
use crate::agents::{AgentError, Agents};
use crate::kafka_config::is_read_only;

/// The agents for one process of an operator.
pub(super) struct ModelAgents {
    /// The world.
    pub(super) world: Shared,
    /// The process.
    pub(super) life: Rc<Life>,
    /// The ensemble.
    of: &'static str,
    addresses: BTreeMap<i32, String>,
    token: i64,
}

fn refused(what: &'static str, message: &str) -> AgentError {
    AgentError::new(what, Code::FailedPrecondition, message)
}

impl ModelAgents {
    /// Agents of the ensemble `of` that are not known yet.
    pub(super) fn new(world: &Shared, life: &Rc<Life>, of: &'static str) -> Self {
        Self { world: Rc::clone(world), life: Rc::clone(life), of, addresses: BTreeMap::new(), token: 0 }
    }

    async fn pass(&self) {
        let ms = self.world.borrow_mut().chance.below(20);
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    /// The member that runs at the address of `member`.
    fn at(&self, world: &World, member: i32) -> Option<i32> {
        let of = self.of;
        let address = self.addresses.get(&member)?;
        if world.is_cut() {
            return None;
        }
        let ip = address.split(':').next()?;
        world.ensembles[of].processes.iter().find(|(_, process)| process.ip == ip).map(|(id, _)| *id)
    }

    /// A question that any agent passes on to the quorum leader.
    async fn ask<T>(
        &self,
        what: &'static str,
        answer: impl FnOnce(&mut World) -> Result<T, AgentError>,
    ) -> Result<T, AgentError> {
        let of = self.of;
        self.pass().await;
        let mut world = self.world.borrow_mut();
        let reached = self.addresses.keys().any(|id| {
            let there = self.at(&world, *id);
            there.is_some_and(|id| world.ensembles[of].processes[&id].incarnation.is_some())
        });
        if !reached || !world.ensembles[of].leads() {
            return Err(AgentError::new(what, Code::Unavailable, "nobody leads the quorum"));
        }
        answer(&mut world)
    }

    /// A change: fenced, perhaps the last that this process does, perhaps not answered.
    async fn change<T>(
        &self,
        what: &'static str,
        effect: impl FnOnce(&mut World) -> Result<T, AgentError>,
    ) -> Result<T, AgentError> {
        let end = self.life.dies_now();
        if end == Some(true) {
            self.life.end().await;
        }
        let (token, who, of) = (self.token, self.life.who, self.of);
        let result = self.ask(what, |world| {
            if token < world.ensembles[of].token {
                return Err(refused(what, "another operator acts"));
            }
            if world.strikes(|o| o.unavailable, 25) {
                return Err(AgentError::new(what, Code::Unavailable, "no answer, and nothing done"));
            }
            world.ensembles[of].token = token;
            let result = effect(world);
            world.tell(format!(
                "operator {who}: agents of {of} {what} {}",
                if result.is_ok() { "done" } else { "refused" }
            ));
            world.writes += 1;
            world.ensembles[of].lead();
            result
        });
        let result = result.await;
        if end == Some(false) {
            self.life.end().await;
        }
        if self.world.borrow_mut().strikes(|o| o.unavailable, 25) {
            return Err(AgentError::new(what, Code::DeadlineExceeded, "no answer, though it is done"));
        }
        result
    }

    /// A change of one member that the ensemble knows.
    async fn on_member(
        &self,
        what: &'static str,
        member: i32,
        effect: impl FnOnce(&mut super::ensemble::Member),
    ) -> Result<(), AgentError> {
        let of = self.of;
        self.change(what, |world| {
            let member = world.ensembles[of].members.get_mut(&member);
            member.map(effect).ok_or_else(|| AgentError::new(what, Code::NotFound, "no such member"))
        })
        .await
    }
}

impl Agents for ModelAgents {
    fn set_addresses(&mut self, addresses: &BTreeMap<i32, String>) {
        self.addresses.clone_from(addresses);
    }

    fn set_fencing_token(&mut self, fencing_token: i64) {
        self.token = fencing_token;
    }

    /// No address is given again here: `agent/node/src/grpc` tests what then is answered.
    fn set_cluster(&mut self, _: &str) {}

    async fn is_ready(&self, member: i32) -> Option<bool> {
        let of = self.of;
        self.pass().await;
        let world = self.world.borrow();
        let id = self.at(&world, member)?;
        Some(world.ensembles[of].is_ready(id))
    }

    async fn describe(&self) -> Result<proto::DescribeResponse, AgentError> {
        let of = self.of;
        self.ask("describe", |world| Ok(answers::describe(&world.ensembles[of]))).await
    }

    async fn check_restart(&self, member: i32) -> Result<proto::CheckRestartResponse, AgentError> {
        let (who, of) = (self.life.who, self.of);
        self.ask("check restart", |world| {
            let answer = answers::check_restart(&world.ensembles[of], member);
            if answer.safe {
                laws::proved(world, (who, of), member);
            }
            Ok(answer)
        })
        .await
    }

    async fn check_remove(&self, members: &[i32]) -> Result<proto::CheckRemoveResponse, AgentError> {
        let of = self.of;
        self.ask("check remove", |world| Ok(answers::check_remove(&world.ensembles[of], members))).await
    }

    async fn rebalance(&self) -> Result<proto::Progress, AgentError> {
        let of = self.of;
        self.ask("rebalance", |world| Ok(answers::progress(&world.ensembles[of]))).await
    }

    async fn topics(&self, member: i32) -> Result<Vec<proto::Topic>, AgentError> {
        let of = self.of;
        self.pass().await;
        let world = self.world.borrow();
        match self.at(&world, member) {
            Some(id) if world.ensembles[of].is_ready(id) => Ok(answers::topics(&world.ensembles[of])),
            Some(_) | None => Err(AgentError::new("list topics", Code::Unavailable, "no answer")),
        }
    }

    async fn apply_topic(
        &self,
        request: proto::ApplyTopicRequest,
    ) -> Result<proto::ApplyTopicResponse, AgentError> {
        let of = self.of;
        self.change("apply topic", |world| apply_topic(world, of, &request)).await
    }

    async fn delete_topic(&self, name: &str, id: &str) -> Result<bool, AgentError> {
        let of = self.of;
        self.change("delete topic", |world| delete_topic(world, of, name, id)).await
    }

    async fn hand_over(&self, member: i32) -> Result<bool, AgentError> {
        let of = self.of;
        self.change("hand over", |world| {
            let ensemble = &mut world.ensembles[of];
            let Some(known) = ensemble.members.get_mut(&member) else {
                return Err(AgentError::new("hand over", Code::NotFound, "no such member"));
            };
            known.resting = true;
            if ensemble.leader == Some(member) {
                let other = ensemble.voters().into_iter().find(|id| *id != member && ensemble.is_synced(*id));
                ensemble.leader = other.or(ensemble.leader);
            }
            Ok(true)
        })
        .await
    }

    async fn cordon(&self, member: i32) -> Result<(), AgentError> {
        self.on_member("cordon", member, |m| m.cordoned = true).await
    }

    async fn uncordon(&self, member: i32) -> Result<(), AgentError> {
        self.on_member("uncordon", member, |m| (m.cordoned, m.resting) = (false, false)).await
    }

    async fn drain(&self, member: i32) -> Result<(), AgentError> {
        let of = self.of;
        self.change("drain", |world| {
            world.ensembles[of].draining.insert(member);
            let known = world.ensembles[of].members.get_mut(&member);
            known
                .map(|m| m.cordoned = true)
                .ok_or_else(|| AgentError::new("drain", Code::NotFound, "no such member"))
        })
        .await
    }

    async fn promote(&self, member: i32) -> Result<(), AgentError> {
        let of = self.of;
        self.change("promote", |world| {
            if !world.ensembles[of].is_synced(member) {
                return Err(refused("promote", "it does not have the history"));
            }
            let incarnation = world.ensembles[of].members.get(&member).map_or(0, |m| m.incarnation);
            if world.ensembles[of].removed.contains(&incarnation) {
                laws::violated(
                    world,
                    format!("O5: member {member} votes with a disk that was removed for good"),
                );
            }
            world.ensembles[of].members.entry(member).and_modify(|m| m.votes = true);
            Ok(())
        })
        .await
    }

    async fn demote(&self, member: i32) -> Result<(), AgentError> {
        let of = self.of;
        self.change("demote", |world| {
            let ensemble = &mut world.ensembles[of];
            if ensemble.voters() == [member] {
                return Err(refused("demote", "it is the only voter"));
            }
            let others = ensemble.voters().into_iter().filter(|id| *id != member);
            let up: Vec<i32> = others.clone().filter(|id| ensemble.is_synced(*id)).collect();
            if up.len() * 2 <= others.count() {
                return Err(refused("demote", "the others are no quorum"));
            }
            ensemble.members.entry(member).and_modify(|m| m.votes = false);
            if ensemble.leader == Some(member) {
                ensemble.leader = up.first().copied();
            }
            Ok(())
        })
        .await
    }

    async fn remove(&self, member: i32) -> Result<(), AgentError> {
        let of = self.of;
        self.change("remove", |world| remove(world, of, member)).await
    }

    async fn configure_rebalance(&self, auto: bool, max_bytes_per_second: i64) -> Result<(), AgentError> {
        let of = self.of;
        self.change("configure rebalance", |world| {
            (world.ensembles[of].auto, world.ensembles[of].bytes_per_second) = (auto, max_bytes_per_second);
            Ok(())
        })
        .await
    }

    async fn settings_digest(&self, member: i32) -> Option<String> {
        self.pass().await;
        let world = self.world.borrow();
        let process = &world.ensembles[self.of].processes[&self.at(&world, member)?];
        process.incarnation.map(|_| settings_digest(&process.settings))
    }

    async fn configure_broker(
        &self,
        member: i32,
        settings: &BTreeMap<String, String>,
    ) -> Result<(), AgentError> {
        let (what, of) = ("configure broker", self.of);
        self.change(what, |world| {
            let at = self.at(world, member);
            let process = at.and_then(|id| world.ensembles[of].processes.get_mut(&id));
            let process = process.filter(|process| process.incarnation.is_some());
            let process = process.ok_or_else(|| AgentError::new(what, Code::Unavailable, "no answer"))?;
            if settings.keys().any(|name| is_read_only(name)) {
                return Err(AgentError::new(what, Code::InvalidArgument, "read when the agent starts"));
            }
            process.settings.clone_from(settings);
            Ok(())
        })
        .await
    }
}

/// A member leaves for good: empty, without a vote, and after that was noted durably (O4, O5).
fn remove(world: &mut World, of: &str, member: i32) -> Result<(), AgentError> {
    let Some(known) = world.ensembles[of].members.get(&member).cloned() else { return Ok(()) };
    if known.votes || world.ensembles[of].held(member) > 0 {
        return Err(refused("remove", "it votes or holds replicas"));
    }
    let stays = world.record(of).is_some_and(|record| record.member(member).is_some_and(|m| !m.leaving));
    if stays && !world.ensembles[of].removed.contains(&known.incarnation) {
        laws::violated(
            world,
            format!("O5: member {member} is removed, and the record does not say that it leaves"),
        );
    }
    world.ensembles[of].removed.insert(known.incarnation);
    world.ensembles[of].members.remove(&member);
    if let Some(process) = world.ensembles[of].processes.get_mut(&member) {
        (process.synced, process.removed) = (false, true);
    }
    Ok(())
}

fn delete_topic(world: &mut World, of: &str, name: &str, id: &str) -> Result<bool, AgentError> {
    let Some(there) = world.ensembles[of].topics.get(name) else { return Ok(false) };
    let its = answers::topic_id(there);
    if !id.is_empty() && id != its {
        return Err(refused("delete topic", "it has another id"));
    }
    if let Some(why) = laws::t1_a_topic_goes_with_its_own_resource(world, of, name, &its) {
        laws::violated(world, format!("T1: {why}"));
    }
    if let Some(why) = laws::t2_many_topics_go_after_a_word(world, of, name) {
        laws::violated(world, format!("T2: {why}"));
    }
    Ok(world.ensembles[of].topics.remove(name).is_some())
}

fn apply_topic(
    world: &mut World,
    of: &str,
    request: &proto::ApplyTopicRequest,
) -> Result<proto::ApplyTopicResponse, AgentError> {
    let eligible = world.ensembles[of].eligible();
    let copies = usize::try_from(request.replication_factor).unwrap_or(0);
    let id = world.ensembles[of].next_id();
    let there = world.ensembles[of].topics.get(&request.name).cloned();
    let created = there.is_none();
    let mut topic = there.unwrap_or_else(|| Topic {
        id,
        replication_factor: request.replication_factor,
        ..Topic::default()
    });
    let wanted = usize::try_from(request.partitions).unwrap_or(0);
    if topic.partitions.len() > wanted || topic.replication_factor != request.replication_factor {
        return Err(refused("apply topic", "it cannot become that"));
    }
    if topic.partitions.len() < wanted && eligible.len() < copies {
        return Err(AgentError::new("apply topic", Code::Unavailable, "too few members"));
    }
    while topic.partitions.len() < wanted {
        let first = topic.partitions.len() % eligible.len();
        let replicas: Vec<i32> = eligible.iter().cycle().skip(first).take(copies).copied().collect();
        let in_sync = replicas.iter().copied().collect();
        topic.partitions.push(Partition { leader: replicas.first().copied(), replicas, in_sync });
    }
    let left_alone = topic.config.iter().filter(|(key, _)| request.unmanaged_configs.contains(key));
    let mut config: BTreeMap<String, String> = left_alone.map(|(k, v)| (k.clone(), v.clone())).collect();
    config.extend(request.configs.clone());
    topic.config = config;
    world.ensembles[of].made.insert(request.name.clone());
    world.ensembles[of].topics.insert(request.name.clone(), topic);
    Ok(proto::ApplyTopicResponse { created, ..proto::ApplyTopicResponse::default() })
}
