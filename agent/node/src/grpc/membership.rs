//! Membership: who is there, who votes, who may be restarted or removed.
//!
//! Read first: [`Service`]; the rules are `agent/member/src/control/verdict.rs` and `coordination/control.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use streamkeeper_base::{Address, MemberId};
use streamkeeper_member::control::{
    Change, ClusterImage, Command, Facts, MemberFacts, Membership, MembershipChange, leads, verdict,
};
use streamkeeper_proto::v1alpha1 as proto;
use streamkeeper_proto::v1alpha1::membership_server::Membership as Rpc;
use tonic::{Request, Response, Status};

use super::agent::Agent;
use super::answers::{blockers, guard, ids, int, long, members, refused, survey};
use super::settings;

/// A hand-over is waited for this long.
const HAND_OVER_TIME: Duration = Duration::from_secs(3);
const HAND_OVER_LOOK: Duration = Duration::from_millis(50);

pub(super) struct Service(pub(super) Arc<Agent>);

impl Service {
    async fn change(&self, write: Option<proto::Write>, change: Change) -> Result<(), Status> {
        self.0.change(guard(write), change).await.map(drop).map_err(refused)
    }
}

#[tonic::async_trait]
impl Rpc for Service {
    async fn describe(
        &self,
        request: Request<proto::DescribeRequest>,
    ) -> Result<Response<proto::DescribeResponse>, Status> {
        let itself = proto::DescribeResponse {
            cluster_id: self.0.cluster_id.clone(),
            settings_digest: self.0.broker.digest(),
            ..proto::DescribeResponse::default()
        };
        if request.into_inner().itself {
            return Ok(Response::new(itself));
        }
        let (facts, image) = survey(&self.0, false).await?;
        Ok(Response::new(proto::DescribeResponse {
            leader: facts.leader.0,
            zab_epoch: facts.zab_epoch,
            zxid: facts.zxid.0,
            members: describe_members(&facts, &image),
            quorum: Some(describe_quorum(&facts)),
            partitions: Some(describe_partitions(&image)),
            fencing_token: image.fencing_token,
            ..itself
        }))
    }

    async fn add_observer(
        &self,
        request: Request<proto::AddObserverRequest>,
    ) -> Result<Response<proto::AddObserverResponse>, Status> {
        let request = request.into_inner();
        let data = address(request.address, request.zone)?.encode();
        let change = MembershipChange::AddObserver { member: MemberId(request.member), data };
        self.change(request.write, Change::Ensemble(change)).await?;
        Ok(Response::new(proto::AddObserverResponse {}))
    }

    async fn promote(
        &self,
        request: Request<proto::PromoteRequest>,
    ) -> Result<Response<proto::PromoteResponse>, Status> {
        let request = request.into_inner();
        let change = MembershipChange::Promote(MemberId(request.member));
        self.change(request.write, Change::Ensemble(change)).await?;
        Ok(Response::new(proto::PromoteResponse {}))
    }

    async fn demote(
        &self,
        request: Request<proto::DemoteRequest>,
    ) -> Result<Response<proto::DemoteResponse>, Status> {
        let request = request.into_inner();
        let change = MembershipChange::Demote(MemberId(request.member));
        self.change(request.write, Change::Ensemble(change)).await?;
        Ok(Response::new(proto::DemoteResponse {}))
    }

    async fn remove(
        &self,
        request: Request<proto::RemoveRequest>,
    ) -> Result<Response<proto::RemoveResponse>, Status> {
        let request = request.into_inner();
        self.change(request.write, Change::Remove(MemberId(request.member))).await?;
        Ok(Response::new(proto::RemoveResponse {}))
    }

    async fn check_restart(
        &self,
        request: Request<proto::CheckRestartRequest>,
    ) -> Result<Response<proto::CheckRestartResponse>, Status> {
        let stopping = members(&request.into_inner().members)?;
        let (facts, image) = survey(&self.0, false).await?;
        let verdict = verdict::restart(&image, &facts, &stopping);
        Ok(Response::new(proto::CheckRestartResponse {
            safe: verdict.blockers.is_empty(),
            blockers: blockers(verdict.blockers),
            unavoidable: blockers(verdict.others),
        }))
    }

    async fn check_remove(
        &self,
        request: Request<proto::CheckRemoveRequest>,
    ) -> Result<Response<proto::CheckRemoveResponse>, Status> {
        let leaving = members(&request.into_inner().members)?;
        let (facts, image) = survey(&self.0, true).await?;
        let verdict = verdict::removal(&image, &facts, &leaving);
        let allowed = verdict.blockers.is_empty();
        Ok(Response::new(proto::CheckRemoveResponse {
            allowed,
            empty: allowed && verdict.others.is_empty(),
            blockers: blockers(verdict.blockers),
            remaining: blockers(verdict.others),
        }))
    }

    async fn cordon(
        &self,
        request: Request<proto::CordonRequest>,
    ) -> Result<Response<proto::CordonResponse>, Status> {
        let request = request.into_inner();
        let command = Command::Cordon(MemberId(request.member));
        self.change(request.write, Change::Command(command)).await?;
        Ok(Response::new(proto::CordonResponse {}))
    }

    async fn uncordon(
        &self,
        request: Request<proto::UncordonRequest>,
    ) -> Result<Response<proto::UncordonResponse>, Status> {
        let request = request.into_inner();
        let command = Command::Uncordon(MemberId(request.member));
        self.change(request.write, Change::Command(command)).await?;
        Ok(Response::new(proto::UncordonResponse {}))
    }

    async fn configure_broker(
        &self,
        request: Request<proto::ConfigureBrokerRequest>,
    ) -> Result<Response<proto::ConfigureBrokerResponse>, Status> {
        settings::configure(&self.0, request.into_inner()).await?;
        Ok(Response::new(proto::ConfigureBrokerResponse {}))
    }

    async fn hand_over(
        &self,
        request: Request<proto::HandOverRequest>,
    ) -> Result<Response<proto::HandOverResponse>, Status> {
        let request = request.into_inner();
        let member = MemberId(request.member);
        self.change(request.write, Change::HandOver(member)).await?;
        let until = tokio::time::Instant::now() + HAND_OVER_TIME;
        loop {
            // While the quorum's lead changes hands nobody can say how things stand.
            let now = self.0.survey(false).await.map(|(facts, image)| handed_over(&facts, &image, member));
            match now {
                Some(response) if response.done => return Ok(Response::new(response)),
                Some(response) if tokio::time::Instant::now() >= until => return Ok(Response::new(response)),
                None if tokio::time::Instant::now() >= until => {
                    return survey(&self.0, false)
                        .await
                        .map(|(facts, image)| Response::new(handed_over(&facts, &image, member)));
                }
                Some(_) | None => tokio::time::sleep(HAND_OVER_LOOK).await,
            }
        }
    }
}

fn handed_over(facts: &Facts, image: &ClusterImage, member: MemberId) -> proto::HandOverResponse {
    let (led, stuck) = leads(image, member);
    let leads_quorum = facts.leader == member;
    proto::HandOverResponse {
        done: !leads_quorum && led == stuck,
        leads_quorum,
        partitions_led: int(led),
        partitions_stuck: int(stuck),
    }
}

fn describe_members(facts: &Facts, image: &ClusterImage) -> Vec<proto::Member> {
    let mut held: BTreeMap<MemberId, (usize, usize)> = BTreeMap::new();
    for (_, _, partition) in image.partitions() {
        partition.replicas.iter().for_each(|id| held.entry(*id).or_default().0 += 1);
        partition.leader.iter().for_each(|id| held.entry(*id).or_default().1 += 1);
    }
    let describe = |(id, member): (&MemberId, &MemberFacts)| {
        let holds = held.get(id).copied().unwrap_or_default();
        describe_member(*id, member, facts, image, holds)
    };
    facts.members.iter().map(describe).collect()
}

fn describe_member(
    id: MemberId,
    member: &MemberFacts,
    facts: &Facts,
    image: &ClusterImage,
    (held, led): (usize, usize),
) -> proto::Member {
    let registered = image.members.get(&id);
    let said = member.said.as_ref();
    let role = match member.is_voter {
        Some(true) => proto::Role::Voter,
        Some(false) => proto::Role::Observer,
        None => proto::Role::Unspecified,
    };
    proto::Member {
        id: id.0,
        incarnation: registered.map(|m| m.incarnation.to_string()).unwrap_or_default(),
        address: Some(proto::Address {
            host: member.address.host.clone(),
            peer_port: member.address.peer_port.into(),
            zookeeper_port: member.address.zookeeper_port.into(),
            kafka_port: member.address.kafka_port.into(),
            grpc_port: member.address.grpc_port.into(),
            http_port: member.address.http_port.into(),
        }),
        // A pod may come back in another zone; the address that peers know it by stays.
        zone: registered.map_or(&member.address.zone, |m| &m.address.zone).clone(),
        role: role.into(),
        live: registered.is_some_and(|m| m.live),
        cordoned: registered.is_some_and(|m| m.cordoned),
        resting: registered.is_some_and(|m| m.resting),
        leader: id == facts.leader,
        synced: member.is_synced,
        zab_epoch: said.map_or(0, |s| s.zab_epoch),
        zxid: said.map_or(0, |s| s.zxid.0),
        last_synced_ms_ago: member.last_synced_ms.map(long),
        partitions: int(held),
        partitions_led: int(led),
        bytes: said.map(|s| long(s.bytes)),
        disk_free_bytes: said.and_then(|s| s.disk_free_bytes).map(long),
        version: said.map(|s| s.version.clone()).unwrap_or_default(),
    }
}

fn describe_quorum(facts: &Facts) -> proto::Quorum {
    let voters: Vec<MemberId> = facts.voters().into_iter().collect();
    let synced: Vec<MemberId> = facts.voters().intersection(&facts.synced()).copied().collect();
    let needed = voters.len() / 2 + 1;
    proto::Quorum {
        margin: synced.len().checked_sub(needed).map_or(-1, int),
        changing: facts.is_changing,
        voters_by_default: int(Membership::voters_by_default(facts.members.len())),
        voters: ids(&voters),
        synced_voters: ids(&synced),
    }
}

fn describe_partitions(image: &ClusterImage) -> proto::PartitionSummary {
    let mut summary = proto::PartitionSummary::default();
    for (_, topic, partition) in image.partitions() {
        summary.total += 1;
        summary.offline += i32::from(partition.leader.is_none());
        summary.under_min_insync += i32::from(partition.isr.len() < topic.min_insync());
        summary.under_replicated += i32::from(partition.is_under_replicated());
    }
    summary
}

fn address(address: Option<proto::Address>, zone: String) -> Result<Address, Status> {
    let address = address.ok_or_else(|| Status::invalid_argument("address: is missing"))?;
    let port = |name: &str, port: u32| {
        u16::try_from(port)
            .map_err(|_| Status::invalid_argument(format!("address.{name}: {port} is no port")))
    };
    if address.host.is_empty() || address.peer_port == 0 {
        return Err(Status::invalid_argument("address: host and peer_port are needed"));
    }
    Ok(Address {
        peer_port: port("peer_port", address.peer_port)?,
        zookeeper_port: port("zookeeper_port", address.zookeeper_port)?,
        kafka_port: port("kafka_port", address.kafka_port)?,
        grpc_port: port("grpc_port", address.grpc_port)?,
        http_port: port("http_port", address.http_port)?,
        host: address.host,
        zone,
        ..Address::default()
    })
}
