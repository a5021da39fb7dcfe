//! The ServiceAccount of the agents, which have no business with the API server: no token is mounted.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::{Parts, metadata};
use crate::kubernetes::names;

/// The object.
pub fn build(parts: &Parts) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(parts, names::agents(&parts.name)),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
