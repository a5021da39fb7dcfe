//! CreateTopics (19), DeleteTopics (20), CreatePartitions (37): accepted on every agent, decided by the quorum leader.

use std::collections::BTreeMap;

use streamkeeper_base::{MemberId, TopicId};
use streamkeeper_controller::{Answer, Command, CommandError, NewTopic, Outcome, Partition, Topic};
use streamkeeper_wire::kafka::ErrorCode;
use streamkeeper_wire::kafka::generated::create_partitions_request::CreatePartitionsRequest;
use streamkeeper_wire::kafka::generated::create_partitions_response::{
    CreatePartitionsResponse, CreatePartitionsTopicResult,
};
use streamkeeper_wire::kafka::generated::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use streamkeeper_wire::kafka::generated::create_topics_response::{
    CreatableTopicResult, CreateTopicsResponse,
};
use streamkeeper_wire::kafka::generated::delete_topics_request::DeleteTopicsRequest;
use streamkeeper_wire::kafka::generated::delete_topics_response::{
    DeletableTopicResult, DeleteTopicsResponse,
};

use crate::broker::Broker;
use crate::kafka::client::Exchange;
use crate::kafka::pending::{AdminBatch, AdminResponse, PendingCommand};

impl Broker {
    pub(crate) fn create_topics(&mut self, exchange: Exchange, request: CreateTopicsRequest) {
        let mut response = CreateTopicsResponse::default();
        let mut commands = Vec::new();
        let names: Vec<String> = request.topics.iter().map(|t| t.name.clone()).collect();
        for topic in request.topics {
            let mut result = CreatableTopicResult {
                error_message: None,
                configs: None,
                ..CreatableTopicResult::default()
            };
            result.name.clone_from(&topic.name);
            let new = if is_twice(&names, &topic.name) { Err(twice()) } else { self.new_topic(&topic) };
            let judged = match new {
                Err(error) => Some((Err(error), BTreeMap::new())),
                Ok(new) => {
                    let configs = new.configs.clone();
                    let command = Command::CreateTopic(new);
                    if request.validate_only {
                        // Judged against the local image; nothing is asked for.
                        Some((self.image.prepare(&command).map(|(_, outcome)| outcome), configs))
                    } else {
                        commands.push((response.topics.len(), command));
                        None
                    }
                }
            };
            if let Some((answer, configs)) = judged {
                self.created(&mut result, &answer, configs, true);
            }
            response.topics.push(result);
        }
        self.ask_all(exchange, AdminResponse::CreateTopics(response), commands, |batch, index, command| {
            let configs = match command {
                Command::CreateTopic(new) => new.configs.clone(),
                _ => BTreeMap::new(),
            };
            PendingCommand::CreateTopic { batch, index, configs }
        });
    }

    fn new_topic(&mut self, topic: &CreatableTopic) -> Result<NewTopic, CommandError> {
        let mut assignments = topic.assignments.clone();
        assignments.sort_by_key(|a| a.partition_index);
        if (0..).zip(&assignments).any(|(number, a)| a.partition_index != number) {
            let message = "Partitions should be a consecutive 0-based integer sequence.";
            return Err(CommandError::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT.0, message));
        }
        if let Some(null) = topic.configs.iter().find(|c| c.value.is_none()) {
            let message = format!("Null value not supported for topic configs: {}", null.name);
            return Err(CommandError::new(ErrorCode::INVALID_CONFIG.0, message));
        }
        let default = i32::try_from(self.config.number("num.partitions")).unwrap_or(1);
        let by_default = topic.num_partitions == -1 && assignments.is_empty();
        let factor_by_default = topic.replication_factor == -1 && assignments.is_empty();
        Ok(NewTopic {
            name: topic.name.clone(),
            partitions: if by_default { default } else { topic.num_partitions },
            replication_factor: if factor_by_default {
                self.default_replication_factor()
            } else {
                topic.replication_factor
            },
            assignment: assignments.iter().map(|a| members(&a.broker_ids)).collect(),
            configs: topic.configs.iter().filter_map(|c| Some((c.name.clone(), c.value.clone()?))).collect(),
            id: TopicId(self.random.bytes16()),
        })
    }

    /// What the ensemble's settings say, else -1: the controller's own default, which knows how many members there are.
    pub(crate) fn default_replication_factor(&self) -> i16 {
        let set = self.config.settings.get("default.replication.factor");
        set.and_then(|factor| factor.parse().ok()).unwrap_or(-1)
    }

    pub(crate) fn delete_topics(&mut self, exchange: Exchange, request: DeleteTopicsRequest) {
        let mut response = DeleteTopicsResponse::default();
        let mut commands = Vec::new();
        let by_name = request.topic_names.into_iter().map(|name| (Some(name), [0; 16]));
        let by_either = request.topics.into_iter().map(|t| (t.name, t.topic_id));
        let asked: Vec<(Option<String>, [u8; 16])> = by_name.chain(by_either).collect();
        for (name, id) in &asked {
            let mut result = DeletableTopicResult {
                name: name.clone(),
                topic_id: *id,
                error_message: None,
                ..DeletableTopicResult::default()
            };
            let is_asked_twice = asked.iter().filter(|other| **other == (name.clone(), *id)).count() > 1;
            match self.deletable(name.as_deref(), *id) {
                _ if is_asked_twice => refuse(&mut result, &twice()),
                Ok((name, id)) => {
                    result.name = Some(name);
                    result.topic_id = id.0;
                    commands.push((response.responses.len(), Command::DeleteTopic(id)));
                }
                Err(error) => refuse(&mut result, &error),
            }
            response.responses.push(result);
        }
        self.ask_all(exchange, AdminResponse::DeleteTopics(response), commands, |batch, index, _| {
            PendingCommand::DeleteTopic { batch, index }
        });
    }

    fn deletable(&self, name: Option<&str>, id: [u8; 16]) -> Result<(String, TopicId), CommandError> {
        let error = |code: ErrorCode, message: &str| CommandError::new(code.0, message);
        let by_id = id != [0; 16];
        let topic = match name {
            Some(_) if by_id => {
                let message = "You may not specify both topic name and topic id.";
                return Err(error(ErrorCode::INVALID_REQUEST, message));
            }
            Some(name) => self.image.topics.get(name).ok_or_else(|| {
                error(
                    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                    "This server does not host this topic-partition.",
                )
            }),
            None if by_id => self.image.topic_by_id(TopicId(id)).ok_or_else(|| {
                error(ErrorCode::UNKNOWN_TOPIC_ID, "This server does not host this topic ID.")
            }),
            None => Err(error(ErrorCode::INVALID_REQUEST, "Neither topic name nor id were specified.")),
        }?;
        Ok((topic.name.clone(), topic.id))
    }

    pub(crate) fn create_partitions(&mut self, exchange: Exchange, request: CreatePartitionsRequest) {
        let mut response = CreatePartitionsResponse::default();
        let mut commands = Vec::new();
        let names: Vec<String> = request.topics.iter().map(|t| t.name.clone()).collect();
        for topic in request.topics {
            let chosen = topic.assignments.as_ref();
            let command = Command::CreatePartitions {
                topic: topic.name.clone(),
                total: topic.count,
                assignment: chosen.map(|all| all.iter().map(|a| members(&a.broker_ids)).collect()),
            };
            let mut refused = is_twice(&names, &topic.name).then(twice);
            if request.validate_only && refused.is_none() {
                refused = self.image.prepare(&command).err();
            }
            if refused.is_none() && !request.validate_only {
                commands.push((response.results.len(), command));
            }
            response.results.push(CreatePartitionsTopicResult {
                name: topic.name,
                error_code: refused.as_ref().map_or(0, |error| error.code),
                error_message: refused.map(|error| error.message),
            });
        }
        self.ask_all(exchange, AdminResponse::CreatePartitions(response), commands, |batch, index, _| {
            PendingCommand::CreatePartitions { batch, index }
        });
    }

    fn ask_all(
        &mut self,
        exchange: Exchange,
        response: AdminResponse,
        commands: Vec<(usize, Command)>,
        pending: impl Fn(u64, usize, &Command) -> PendingCommand,
    ) {
        let batch = self.number();
        let waiting = commands.len();
        self.admin.insert(batch, AdminBatch { exchange, response, waiting });
        for (index, command) in commands {
            let pending = pending(batch, index, &command);
            self.command(command, pending);
        }
        if waiting == 0 {
            self.answer_admin(batch);
        }
    }

    /// A controller's answer to a client's command.
    pub(crate) fn command_answered(&mut self, pending: PendingCommand, answer: Answer) {
        let (batch, index, configs) = match pending {
            PendingCommand::ProducerIds(exchange) => return self.producer_ids_allocated(&exchange, &answer),
            PendingCommand::AutoCreate
            | PendingCommand::Isr(..)
            | PendingCommand::Report
            | PendingCommand::Proof { .. }
            | PendingCommand::Space => return,
            PendingCommand::CreateTopic { batch, index, configs } => (batch, index, configs),
            PendingCommand::DeleteTopic { batch, index }
            | PendingCommand::CreatePartitions { batch, index } => (batch, index, BTreeMap::new()),
        };
        let Some(mut collected) = self.admin.remove(&batch) else { return };
        match &mut collected.response {
            AdminResponse::CreateTopics(r) => {
                if let Some(result) = r.topics.get_mut(index) {
                    self.created(result, &answer, configs, false);
                }
            }
            AdminResponse::DeleteTopics(r) => {
                if let (Some(result), Err(error)) = (r.responses.get_mut(index), &answer) {
                    refuse(result, error);
                }
            }
            AdminResponse::CreatePartitions(r) => {
                if let (Some(result), Err(error)) = (r.results.get_mut(index), &answer) {
                    result.error_code = error.code;
                    result.error_message = Some(error.message.clone());
                }
            }
        }
        collected.waiting -= 1;
        let is_done = collected.waiting == 0;
        self.admin.insert(batch, collected);
        if is_done {
            self.answer_admin(batch);
        }
    }

    fn answer_admin(&mut self, batch: u64) {
        let Some(done) = self.admin.remove(&batch) else { return };
        let version = done.exchange.version;
        self.reply(&done.exchange, |e| match &done.response {
            AdminResponse::CreateTopics(r) => r.encode(e, version),
            AdminResponse::DeleteTopics(r) => r.encode(e, version),
            AdminResponse::CreatePartitions(r) => r.encode(e, version),
        });
    }

    fn created(
        &self,
        result: &mut CreatableTopicResult,
        answer: &Result<Outcome, CommandError>,
        configs: BTreeMap<String, String>,
        validate_only: bool,
    ) {
        match answer {
            Ok(Outcome::Topic { id, partitions, replication_factor }) => {
                result.topic_id = if validate_only { [0; 16] } else { id.0 };
                result.num_partitions = *partitions;
                result.replication_factor = *replication_factor;
                // The local image may not have it yet; its defaults follow from its replicas.
                let replicas = vec![MemberId(0); usize::try_from(*replication_factor).unwrap_or(0)];
                let partitions = vec![Partition { replicas, ..Partition::default() }];
                let name = result.name.clone();
                let topic = Topic { id: *id, name, internal: false, configs, partitions };
                result.configs = Some(self.created_configs(&topic));
            }
            Ok(_) => {}
            Err(error) => {
                result.error_code = error.code;
                result.error_message = Some(error.message.clone());
            }
        }
    }
}

fn refuse(result: &mut DeletableTopicResult, error: &CommandError) {
    result.error_code = error.code;
    result.error_message = Some(error.message.clone());
}

fn members(ids: &[i32]) -> Vec<MemberId> {
    ids.iter().map(|id| MemberId(*id)).collect()
}

fn is_twice(names: &[String], name: &str) -> bool {
    names.iter().filter(|other| *other == name).count() > 1
}

/// One request must not say two things about one topic.
fn twice() -> CommandError {
    CommandError::new(ErrorCode::INVALID_REQUEST.0, "Duplicate topic name.")
}
