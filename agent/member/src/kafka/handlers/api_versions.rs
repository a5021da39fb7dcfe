//! ApiVersions (18): what is served, no more.

use streamkeeper_wire::kafka::ErrorCode;
use streamkeeper_wire::kafka::generated::api_versions_response::{ApiVersion, ApiVersionsResponse};

use crate::broker::Broker;
use crate::kafka::SERVED;
use crate::kafka::client::Exchange;

impl Broker {
    pub(crate) fn api_versions(&mut self, exchange: &Exchange) {
        let api_keys = SERVED
            .iter()
            .map(|(key, min, max)| ApiVersion { api_key: *key, min_version: *min, max_version: *max })
            .collect();
        let response = ApiVersionsResponse { api_keys, ..ApiVersionsResponse::default() };
        let version = exchange.version;
        self.reply(exchange, |e| response.encode(e, version));
    }

    /// KIP-511: a version that is too new is answered in the oldest form, with the range of ApiVersions alone.
    pub(crate) fn api_versions_too_new(&mut self, exchange: &Exchange) {
        let own = SERVED.iter().filter(|(key, _, _)| *key == 18);
        let api_keys = own
            .map(|(key, min, max)| ApiVersion { api_key: *key, min_version: *min, max_version: *max })
            .collect();
        let response = ApiVersionsResponse {
            error_code: ErrorCode::UNSUPPORTED_VERSION.0,
            api_keys,
            ..ApiVersionsResponse::default()
        };
        let oldest = Exchange { version: 0, ..exchange.clone() };
        self.reply(&oldest, |e| response.encode(e, 0));
    }
}
