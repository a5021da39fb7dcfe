//! Topics: what is there, and bringing it to what is wanted.
//!
//! Read first: [`Service`], [`steps`].

use std::collections::BTreeMap;
use std::sync::Arc;

use streamkeeper_base::{PartitionId, TopicId, TopicPartition};
use streamkeeper_member::control::{Change, ClusterImage, Command, Facts, Guard, NewTopic, Topic};
use streamkeeper_proto::v1alpha1 as proto;
use streamkeeper_proto::v1alpha1::topics_server::Topics as Rpc;
use tonic::{Request, Response, Status};

use super::agent::Agent;
use super::answers::{guard, ids, int, long, refused, survey};

pub(super) struct Service(pub(super) Arc<Agent>);

#[tonic::async_trait]
impl Rpc for Service {
    async fn list(
        &self,
        request: Request<proto::ListTopicsRequest>,
    ) -> Result<Response<proto::ListTopicsResponse>, Status> {
        let internal = request.into_inner().internal;
        let (facts, image) = survey(&self.0, true).await?;
        let shown = image.topics.values().filter(|topic| internal || !topic.internal);
        let topics = shown.map(|topic| described(&facts, topic, false)).collect();
        Ok(Response::new(proto::ListTopicsResponse { topics }))
    }

    async fn get(&self, request: Request<proto::GetTopicRequest>) -> Result<Response<proto::Topic>, Status> {
        let name = request.into_inner().name;
        let (facts, image) = survey(&self.0, true).await?;
        let topic = image.topics.get(&name);
        let topic = topic.ok_or_else(|| Status::not_found(format!("there is no topic {name:?}")))?;
        Ok(Response::new(described(&facts, topic, true)))
    }

    async fn apply(
        &self,
        request: Request<proto::ApplyTopicRequest>,
    ) -> Result<Response<proto::ApplyTopicResponse>, Status> {
        let mut request = request.into_inner();
        let guard = guard(request.write.take());
        let (_, image) = survey(&self.0, false).await?;
        let is_done = !guard.request.is_empty() && image.requests.contains(&guard.request);
        let steps = if is_done { Steps::default() } else { steps(&image, &request)? };
        if request.dry_run {
            steps
                .commands
                .iter()
                .try_for_each(|command| image.prepare(command).map(drop).map_err(refused))?;
        } else {
            self.carry_out(&guard, steps.commands).await?;
        }
        let (facts, image) = survey(&self.0, true).await?;
        Ok(Response::new(proto::ApplyTopicResponse {
            created: steps.created,
            grew: steps.grew,
            configs_changed: steps.configs_changed,
            topic: image.topics.get(&request.name).map(|topic| described(&facts, topic, true)),
        }))
    }

    async fn delete(
        &self,
        request: Request<proto::DeleteTopicRequest>,
    ) -> Result<Response<proto::DeleteTopicResponse>, Status> {
        let request = request.into_inner();
        let (_, image) = survey(&self.0, false).await?;
        let Some(topic) = image.topics.get(&request.name) else {
            return Ok(Response::new(proto::DeleteTopicResponse { deleted: false }));
        };
        if !request.id.is_empty() && TopicId::from_hex(&request.id) != Some(topic.id) {
            let message = format!("topic {} has the id {}, not {}", topic.name, topic.id, request.id);
            return Err(Status::failed_precondition(message));
        }
        let change = Change::Command(Command::DeleteTopic(topic.id));
        match self.0.change(guard(request.write), change).await {
            Ok(_) => Ok(Response::new(proto::DeleteTopicResponse { deleted: true })),
            // Somebody else deleted it meanwhile.
            Err(error) if error.code == UNKNOWN_TOPIC_ID => {
                Ok(Response::new(proto::DeleteTopicResponse { deleted: false }))
            }
            Err(error) => Err(refused(error)),
        }
    }
}

const UNKNOWN_TOPIC_ID: i16 = 100;

impl Service {
    /// One after the other; the request counts as done with the last one, so that one that was cut off is finished when it comes again.
    async fn carry_out(&self, guard: &Guard, commands: Vec<Command>) -> Result<(), Status> {
        let last = commands.len().saturating_sub(1);
        for (index, command) in commands.into_iter().enumerate() {
            let request = if index == last { guard.request.clone() } else { String::new() };
            let guard = Guard { request, fencing_token: guard.fencing_token };
            self.0.change(guard, Change::Command(command)).await.map_err(refused)?;
        }
        Ok(())
    }
}

/// What is missing for a topic to be as wanted.
#[derive(Debug, Default)]
struct Steps {
    commands: Vec<Command>,
    created: bool,
    grew: bool,
    configs_changed: Vec<String>,
}

fn steps(image: &ClusterImage, wanted: &proto::ApplyTopicRequest) -> Result<Steps, Status> {
    if wanted.partitions < 1 || wanted.replication_factor < 0 {
        return Err(Status::invalid_argument(
            "partitions: 1 or more; replication_factor: 1 or more, or 0 for the default",
        ));
    }
    let Some(topic) = image.topics.get(&wanted.name) else { return creation(wanted) };
    let (now, factor) = (int(topic.partitions.len()), factor(topic));
    if wanted.partitions < now {
        let message = format!(
            "topic {} has {now} partitions; partitions never shrink, ask for {now} or more",
            topic.name
        );
        return Err(Status::failed_precondition(message));
    }
    if wanted.replication_factor != 0 && wanted.replication_factor != factor {
        let message = format!(
            "topic {} has {factor} replicas of each partition; apply does not change that, ask for {factor}",
            topic.name
        );
        return Err(Status::failed_precondition(message));
    }
    let mut steps = Steps::default();
    if wanted.partitions > now {
        steps.commands.push(Command::CreatePartitions {
            topic: topic.name.clone(),
            total: wanted.partitions,
            assignment: None,
        });
        steps.grew = true;
    }
    let changes = config_changes(topic, wanted);
    if !changes.is_empty() {
        steps.configs_changed = changes.keys().cloned().collect();
        steps.commands.push(Command::AlterConfigs { topic: topic.name.clone(), changes });
    }
    Ok(steps)
}

fn creation(wanted: &proto::ApplyTopicRequest) -> Result<Steps, Status> {
    let factor = if wanted.replication_factor == 0 { -1 } else { wanted.replication_factor };
    let topic = NewTopic {
        name: wanted.name.clone(),
        partitions: wanted.partitions,
        replication_factor: i16::try_from(factor)
            .map_err(|_| Status::invalid_argument(format!("replication_factor: {factor} is too many")))?,
        assignment: Vec::new(),
        configs: wanted.configs.clone().into_iter().collect(),
        id: TopicId(*uuid::Uuid::new_v4().as_bytes()),
    };
    let configs_changed = topic.configs.keys().cloned().collect();
    let commands = vec![Command::CreateTopic(topic)];
    Ok(Steps { commands, created: true, grew: false, configs_changed })
}

fn config_changes(topic: &Topic, wanted: &proto::ApplyTopicRequest) -> BTreeMap<String, Option<String>> {
    let managed = |key: &&String| !wanted.unmanaged_configs.contains(*key);
    let set = wanted.configs.iter().filter(|(key, value)| topic.configs.get(*key) != Some(*value));
    let removed = topic.configs.keys().filter(|key| !wanted.configs.contains_key(*key));
    set.filter(|(key, _)| managed(key))
        .map(|(key, value)| (key.clone(), Some(value.clone())))
        .chain(removed.filter(managed).map(|key| (key.clone(), None)))
        .collect()
}

fn factor(topic: &Topic) -> i32 {
    topic.partitions.first().map_or(0, |p| int(p.target().count()))
}

fn described(facts: &Facts, topic: &Topic, with_partitions: bool) -> proto::Topic {
    let mut told = proto::Topic {
        name: topic.name.clone(),
        id: topic.id.to_string(),
        internal: topic.internal,
        partition_count: int(topic.partitions.len()),
        replication_factor: factor(topic),
        configs: topic.configs.clone().into_iter().collect(),
        bytes: Some(0),
        ..proto::Topic::default()
    };
    let min_insync = topic.min_insync();
    for (number, partition) in topic.partitions.iter().enumerate() {
        let number = int(number);
        let bytes =
            facts.bytes_of(TopicPartition { topic: topic.id, partition: PartitionId(number) }, partition);
        told.bytes = told.bytes.zip(bytes).map(|(sum, bytes)| sum.saturating_add(long(bytes)));
        told.offline += i32::from(partition.leader.is_none());
        told.under_min_insync += i32::from(partition.isr.len() < min_insync);
        told.under_replicated += i32::from(partition.is_under_replicated());
        told.moving += i32::from(partition.is_moving());
        if with_partitions {
            told.partitions.push(proto::Partition {
                partition: number,
                leader: partition.leader.map(|id| id.0),
                leader_epoch: partition.leader_epoch.0,
                replicas: ids(&partition.replicas),
                in_sync: ids(&partition.isr),
                adding: ids(&partition.adding),
                removing: ids(&partition.removing),
                bytes: bytes.map(long),
            });
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use streamkeeper_member::control::Partition;
    use tonic::Code;

    use super::*;

    fn wanted(partitions: i32, factor: i32, configs: &[(&str, &str)]) -> proto::ApplyTopicRequest {
        proto::ApplyTopicRequest {
            name: "t".to_owned(),
            partitions,
            replication_factor: factor,
            configs: configs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..proto::ApplyTopicRequest::default()
        }
    }

    fn image(configs: &[(&str, &str)]) -> ClusterImage {
        let partition = || Partition {
            replicas: vec![streamkeeper_base::MemberId(0), streamkeeper_base::MemberId(1)],
            ..Partition::default()
        };
        let topic = Topic {
            id: TopicId([1; 16]),
            name: "t".to_owned(),
            internal: false,
            configs: configs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            partitions: vec![partition(), partition()],
        };
        let mut image = ClusterImage::default();
        image.topics.insert(topic.name.clone(), Arc::new(topic));
        image
    }

    #[test]
    fn a_topic_that_is_as_wanted_needs_nothing() {
        let set = [("retention.ms", "5")];
        let steps = steps(&image(&set), &wanted(2, 2, &set)).expect("allowed");
        assert!(steps.commands.is_empty() && !steps.created && !steps.grew, "{steps:?}");
    }

    #[test]
    fn what_is_missing_is_done_and_what_is_not_wanted_removed() {
        let now = image(&[("retention.ms", "5"), ("segment.ms", "9"), ("cleanup.policy", "compact")]);
        let mut request = wanted(3, 0, &[("retention.ms", "6")]);
        request.unmanaged_configs = vec!["cleanup.policy".to_owned()];
        let steps = steps(&now, &request).expect("allowed");
        assert_eq!(steps.configs_changed, ["retention.ms", "segment.ms"]);
        let changes = BTreeMap::from([
            ("retention.ms".to_owned(), Some("6".to_owned())),
            ("segment.ms".to_owned(), None),
        ]);
        assert_eq!(
            steps.commands,
            [
                Command::CreatePartitions { topic: "t".to_owned(), total: 3, assignment: None },
                Command::AlterConfigs { topic: "t".to_owned(), changes },
            ]
        );
    }

    #[test]
    fn what_a_topic_cannot_become_is_refused() {
        let code = |request| steps(&image(&[]), &request).map(drop).map_err(|status| status.code());
        assert_eq!(code(wanted(1, 2, &[])), Err(Code::FailedPrecondition), "fewer partitions");
        assert_eq!(code(wanted(2, 3, &[])), Err(Code::FailedPrecondition), "another factor");
        assert_eq!(code(wanted(0, 2, &[])), Err(Code::InvalidArgument));
        let other = proto::ApplyTopicRequest { name: "other".to_owned(), ..wanted(1, 40_000, &[]) };
        assert_eq!(code(other), Err(Code::InvalidArgument));
    }
}
