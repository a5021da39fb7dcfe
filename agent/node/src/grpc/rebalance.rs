//! Rebalance: what would move, moving it, how far it is.
//!
//! Read first: [`Service`]; plan and progress are `agent/member/src/control/progress.rs`, the execution is the controller's.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use streamkeeper_base::{MemberId, WallMillis};
use streamkeeper_member::control::progress::{self, State};
use streamkeeper_member::control::{Change, Command, Operation, Outcome, Policy};
use streamkeeper_proto::v1alpha1 as proto;
use streamkeeper_proto::v1alpha1::rebalance_server::Rebalance as Rpc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::agent::{Agent, Found};
use super::answers::{guard, int, long, moves, refused, skew, survey};

/// Progress is looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A stream outlives an election of the quorum leader that takes no longer.
const LOOKS_IN_VAIN_MAX: u32 = 15;

pub(super) struct Service(pub(super) Arc<Agent>);

#[tonic::async_trait]
impl Rpc for Service {
    type GetStream = Pin<Box<dyn Stream<Item = Result<proto::Progress, Status>> + Send>>;

    async fn plan(
        &self,
        request: Request<proto::PlanRequest>,
    ) -> Result<Response<proto::PlanResponse>, Status> {
        let without: BTreeSet<MemberId> = request.into_inner().without.into_iter().map(MemberId).collect();
        let (facts, image) = survey(&self.0, true).await?;
        if let Some(unknown) = without.iter().find(|id| !image.members.contains_key(id)) {
            return Err(Status::not_found(format!("there is no member {unknown}")));
        }
        let planned = progress::planned(&image, &facts, &without);
        Ok(Response::new(proto::PlanResponse {
            bytes: long(planned.bytes),
            before: Some(skew(&planned.before)),
            after: Some(skew(&planned.after)),
            stuck: int(planned.stuck),
            moves: moves(planned.moves),
        }))
    }

    async fn start(
        &self,
        request: Request<proto::StartRequest>,
    ) -> Result<Response<proto::StartResponse>, Status> {
        let write = request.into_inner().write;
        self.0.change(guard(write), Change::StartRebalance).await.map_err(refused)?;
        let found = survey(&self.0, true).await?;
        let moving = look(&found).state() == proto::progress::State::Running;
        Ok(Response::new(proto::StartResponse { moving }))
    }

    async fn get(&self, request: Request<proto::GetRequest>) -> Result<Response<Self::GetStream>, Status> {
        let first = look(&survey(&self.0, true).await?);
        if !request.into_inner().follow {
            return Ok(Response::new(Box::pin(tokio_stream::once(Ok(first)))));
        }
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        tokio::spawn(follow(self.0.clone(), first, sender));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn cancel(
        &self,
        request: Request<proto::CancelRequest>,
    ) -> Result<Response<proto::CancelResponse>, Status> {
        let write = request.into_inner().write;
        let outcome = self.0.change(guard(write), Change::CancelRebalance).await.map_err(refused)?;
        let moves = if let Outcome::TakenBack(moves) = outcome { moves } else { 0 };
        Ok(Response::new(proto::CancelResponse { moves }))
    }

    async fn drain(
        &self,
        request: Request<proto::DrainRequest>,
    ) -> Result<Response<proto::DrainResponse>, Status> {
        let request = request.into_inner();
        let member = MemberId(request.member);
        self.0.change(guard(request.write), Change::Drain(member)).await.map_err(refused)?;
        let (_, image) = survey(&self.0, false).await?;
        Ok(Response::new(proto::DrainResponse { remaining: int(image.replicas_on(member)) }))
    }

    async fn configure(
        &self,
        request: Request<proto::ConfigureRequest>,
    ) -> Result<Response<proto::ConfigureResponse>, Status> {
        let request = request.into_inner();
        let limit = request.max_bytes_per_second.map(u64::try_from).transpose();
        let bytes_per_second_max = limit.map_err(|_| {
            Status::invalid_argument("max_bytes_per_second: 0 for no limit, or a positive number")
        })?;
        let operation = Operation::SetPolicy { auto: request.auto, bytes_per_second_max, initial: false };
        let change = Change::Command(Command::Operate(operation));
        self.0.change(guard(request.write), change).await.map_err(refused)?;
        let (_, image) = survey(&self.0, false).await?;
        Ok(Response::new(proto::ConfigureResponse { policy: Some(policy(&image.rebalance.policy)) }))
    }
}

/// Sends progress whenever it changed, until the caller is gone.
async fn follow(
    agent: Arc<Agent>,
    first: proto::Progress,
    sender: tokio::sync::mpsc::Sender<Result<proto::Progress, Status>>,
) {
    let mut told = first.clone();
    if sender.send(Ok(first)).await.is_err() {
        return;
    }
    let mut in_vain = 0;
    loop {
        tokio::select! {
            () = sender.closed() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        match survey(&agent, true).await {
            Ok(found) => {
                in_vain = 0;
                let now = look(&found);
                if now == told {
                    continue;
                }
                told = now.clone();
                if sender.send(Ok(now)).await.is_err() {
                    return;
                }
            }
            Err(_) if in_vain < LOOKS_IN_VAIN_MAX => in_vain += 1,
            Err(status) => {
                // The caller may be gone as well; there is nobody else to tell.
                let _ = sender.send(Err(status)).await;
                return;
            }
        }
    }
}

fn look((facts, image): &Found) -> proto::Progress {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = WallMillis(i64::try_from(wall.as_millis()).unwrap_or(i64::MAX));
    let progress = progress::progress(image, facts, now);
    let run = &image.rebalance.run;
    let (state, waiting_for) = state(progress.state);
    proto::Progress {
        state: state.into(),
        balanced: state == proto::progress::State::Balanced,
        moves_done: long(progress.moves.0),
        moves_total: long(progress.moves.1),
        bytes_done: long(progress.bytes.0),
        bytes_total: long(progress.bytes.1),
        bytes_per_second: long(facts.moved_bytes_per_second),
        estimated_end_ms: progress.estimated_end.map(|at| at.0),
        started_ms: run.started.map(|at| at.0),
        ended_ms: run.ended.map(|at| at.0),
        skew: Some(skew(&progress.loads)),
        moving: moves(progress.moving),
        waiting_for,
        draining: draining(progress.draining),
        policy: Some(policy(&image.rebalance.policy)),
    }
}

fn state(state: State) -> (proto::progress::State, String) {
    use proto::progress::State as Told;
    match state {
        State::Balanced => (Told::Balanced, String::new()),
        State::Running => (Told::Running, String::new()),
        State::Skewed => (Told::Skewed, String::new()),
        State::Cancelled => (Told::Cancelled, String::new()),
        State::Waiting(reason) => (Told::Waiting, reason),
    }
}

fn draining(members: Vec<(MemberId, usize)>) -> Vec<proto::Drain> {
    members.into_iter().map(|(id, held)| proto::Drain { member: id.0, replicas: int(held) }).collect()
}

fn policy(policy: &Policy) -> proto::Policy {
    proto::Policy { auto: policy.auto, max_bytes_per_second: long(policy.bytes_per_second_max) }
}
