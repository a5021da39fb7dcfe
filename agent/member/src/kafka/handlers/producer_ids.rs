//! InitProducerId (22): an id for idempotence, unique forever; ids come in blocks through Zab.

use streamkeeper_base::limits::PRODUCER_ID_BLOCK;
use streamkeeper_controller::{Answer, Command, Outcome};
use streamkeeper_wire::kafka::ErrorCode;
use streamkeeper_wire::kafka::generated::init_producer_id_request::InitProducerIdRequest;
use streamkeeper_wire::kafka::generated::init_producer_id_response::InitProducerIdResponse;

use crate::broker::Broker;
use crate::kafka::client::Exchange;
use crate::kafka::pending::PendingCommand;

impl Broker {
    pub(crate) fn init_producer_id(&mut self, exchange: Exchange, request: &InitProducerIdRequest) {
        if request.transactional_id.is_some() {
            // Transactions are not built yet: refused, not pretended.
            let error = ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
            return self.answer_producer_id(&exchange, error, -1);
        }
        match self.producer_ids.next() {
            Some(id) => self.answer_producer_id(&exchange, ErrorCode::NONE, id),
            None => self.command(Command::AllocateProducerIds, PendingCommand::ProducerIds(exchange)),
        }
    }

    pub(crate) fn producer_ids_allocated(&mut self, exchange: &Exchange, answer: &Answer) {
        if let Ok(Outcome::ProducerIds(first)) = answer {
            self.producer_ids = *first..*first + PRODUCER_ID_BLOCK;
        }
        match self.producer_ids.next() {
            Some(id) => self.answer_producer_id(exchange, ErrorCode::NONE, id),
            None => self.answer_producer_id(exchange, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS, -1),
        }
    }

    fn answer_producer_id(&mut self, exchange: &Exchange, error: ErrorCode, id: i64) {
        let producer_epoch = if id < 0 { -1 } else { 0 };
        let response = InitProducerIdResponse {
            error_code: error.0,
            producer_id: id,
            producer_epoch,
            ..InitProducerIdResponse::default()
        };
        let version = exchange.version;
        self.reply(exchange, |e| response.encode(e, version));
    }
}
