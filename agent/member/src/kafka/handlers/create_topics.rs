//! CreateTopics (19), DeleteTopics (20), CreatePartitions (37): accepted on every agent, decided by the quorum leader.

use std::collections::BTreeMap;

use streamkeeper_base::{MemberId, TopicId};
use streamkeeper_controller::{Answer, Command, CommandError, NewTopic, Outcome};
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
        for topic in request.topics {
            let new = self.new_topic(&topic);
            let mut result = CreatableTopicResult { name: topic.name, ..CreatableTopicResult::default() };
            result.topic_config_error_code = 0;
            if request.validate_only {
                // Judged against the local image; nothing is asked for.
                let judged = self.image.prepare(&Command::CreateTopic(new)).map(|(_, outcome)| outcome);
                created(&mut result, &judged, true);
            } else {
                commands.push((response.topics.len(), Command::CreateTopic(new)));
            }
            response.topics.push(result);
        }
        self.ask_all(exchange, AdminResponse::CreateTopics(response), commands, |batch, index| {
            PendingCommand::CreateTopic { batch, index }
        });
    }

    fn new_topic(&mut self, topic: &CreatableTopic) -> NewTopic {
        let mut assignments = topic.assignments.clone();
        assignments.sort_by_key(|a| a.partition_index);
        let default = i32::try_from(self.config.number("num.partitions")).unwrap_or(1);
        NewTopic {
            name: topic.name.clone(),
            partitions: if topic.num_partitions == -1 { default } else { topic.num_partitions },
            replication_factor: topic.replication_factor,
            assignment: assignments
                .iter()
                .map(|a| a.broker_ids.iter().map(|id| MemberId(*id)).collect())
                .collect(),
            configs: topic
                .configs
                .iter()
                .filter_map(|c| Some((c.name.clone(), c.value.clone()?)))
                .collect::<BTreeMap<_, _>>(),
            id: TopicId(self.random.bytes16()),
        }
    }

    pub(crate) fn delete_topics(&mut self, exchange: Exchange, request: DeleteTopicsRequest) {
        let mut response = DeleteTopicsResponse::default();
        let mut commands = Vec::new();
        let by_name = request.topic_names.into_iter().map(|name| (Some(name), [0; 16]));
        let by_either = request.topics.into_iter().map(|t| (t.name, t.topic_id));
        for (name, id) in by_name.chain(by_either) {
            let known = match &name {
                Some(name) => self.image.topics.get(name),
                None => self.image.topic_by_id(TopicId(id)),
            };
            let mut result =
                DeletableTopicResult { name: name.clone(), topic_id: id, ..DeletableTopicResult::default() };
            match known {
                Some(topic) => {
                    result.name = Some(topic.name.clone());
                    result.topic_id = topic.id.0;
                    commands.push((response.responses.len(), Command::DeleteTopic(topic.id)));
                }
                None => result.error_code = if name.is_some() { 3 } else { 100 },
            }
            response.responses.push(result);
        }
        self.ask_all(exchange, AdminResponse::DeleteTopics(response), commands, |batch, index| {
            PendingCommand::DeleteTopic { batch, index }
        });
    }

    pub(crate) fn create_partitions(&mut self, exchange: Exchange, request: CreatePartitionsRequest) {
        let mut response = CreatePartitionsResponse::default();
        let mut commands = Vec::new();
        for topic in request.topics {
            let command = Command::CreatePartitions { topic: topic.name.clone(), total: topic.count };
            let mut result =
                CreatePartitionsTopicResult { name: topic.name, ..CreatePartitionsTopicResult::default() };
            if request.validate_only {
                if let Err(error) = self.image.prepare(&command) {
                    result.error_code = error.code;
                    result.error_message = Some(error.message);
                }
            } else {
                commands.push((response.results.len(), command));
            }
            response.results.push(result);
        }
        self.ask_all(exchange, AdminResponse::CreatePartitions(response), commands, |batch, index| {
            PendingCommand::CreatePartitions { batch, index }
        });
    }

    fn ask_all(
        &mut self,
        exchange: Exchange,
        response: AdminResponse,
        commands: Vec<(usize, Command)>,
        pending: impl Fn(u64, usize) -> PendingCommand,
    ) {
        let batch = self.number();
        let waiting = commands.len();
        self.admin.insert(batch, AdminBatch { exchange, response, waiting });
        for (index, command) in commands {
            self.command(command, pending(batch, index));
        }
        if waiting == 0 {
            self.answer_admin(batch);
        }
    }

    /// A controller's answer to a client's command.
    pub(crate) fn command_answered(&mut self, pending: PendingCommand, answer: Answer) {
        let (batch, index) = match pending {
            PendingCommand::ProducerIds(exchange) => return self.producer_ids_allocated(&exchange, &answer),
            PendingCommand::AutoCreate | PendingCommand::Isr(_) => return,
            PendingCommand::CreateTopic { batch, index }
            | PendingCommand::DeleteTopic { batch, index }
            | PendingCommand::CreatePartitions { batch, index } => (batch, index),
        };
        let Some(collected) = self.admin.get_mut(&batch) else { return };
        match &mut collected.response {
            AdminResponse::CreateTopics(r) => {
                if let Some(result) = r.topics.get_mut(index) {
                    created(result, &answer, false);
                }
            }
            AdminResponse::DeleteTopics(r) => {
                if let (Some(result), Err(error)) = (r.responses.get_mut(index), &answer) {
                    result.error_code = error.code;
                    result.error_message = Some(error.message.clone());
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
        if collected.waiting == 0 {
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
}

fn created(result: &mut CreatableTopicResult, answer: &Result<Outcome, CommandError>, validate_only: bool) {
    match answer {
        Ok(Outcome::Topic { id, partitions, replication_factor }) => {
            result.topic_id = if validate_only { [0; 16] } else { id.0 };
            result.num_partitions = *partitions;
            result.replication_factor = *replication_factor;
        }
        Ok(_) => {}
        Err(error) => {
            result.error_code = error.code;
            result.error_message = Some(error.message.clone());
        }
    }
}
