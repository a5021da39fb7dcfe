//! All that the operator and the agents share: the messages and services of the .proto files beside this crate, which carry the documentation.
//!
//! Must not know: what an agent does with a request. Read first: `streamkeeper/v1alpha1/membership.proto`, then `rebalance.proto` and
//! `topics.proto`.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

/// Package `streamkeeper.v1alpha1`.
#[allow(
    clippy::all,
    missing_docs,
    unreachable_pub,
    reason = "made from the .proto files, which carry the documentation"
)]
pub mod v1alpha1 {
    tonic::include_proto!("streamkeeper.v1alpha1");
}

/// The metadata of a request that says which cluster it is meant for, 32 hexadecimal digits: agents of another one answer UNAVAILABLE.
/// Without it any agent answers.
pub const CLUSTER_ID: &str = "streamkeeper-cluster-id";

/// `DescribeResponse.settings_digest` of these settings, by name. Agents and operator compare what one has in force and the other wants, so
/// both make it here.
pub fn settings_digest(settings: &BTreeMap<String, String>) -> String {
    let mut digest = Sha256::new();
    for text in settings.iter().flat_map(|(name, value)| [name, value]) {
        digest.update(text.as_bytes());
        digest.update([0]);
    }
    digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The .proto files as an encoded `google.protobuf.FileDescriptorSet`, for server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prost::Message;

    use super::settings_digest;
    use super::v1alpha1::{CheckRestartRequest, DescribeResponse, Member};

    #[test]
    fn every_service_is_described_for_reflection() {
        let text = String::from_utf8_lossy(super::DESCRIPTORS);
        for name in ["Membership", "Rebalance", "Topics", "CheckRestart", "HandOver"] {
            assert!(text.contains(name), "{name} is missing in the descriptors");
        }
    }

    /// The first is SHA-256 of nothing; the second was made with `printf 'a\0001\000b\0002\000' | sha256sum`.
    #[test]
    fn the_digest_of_settings_is_what_the_proto_file_says() {
        let of = |pairs: &[(&str, &str)]| {
            let settings: BTreeMap<String, String> =
                pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            settings_digest(&settings)
        };
        assert_eq!(of(&[]), "e3b0c44298fc1c14");
        assert_eq!(of(&[("b", "2"), ("a", "1")]), "37664b19301f4651");
        assert_ne!(of(&[("a", "1b")]), of(&[("a1", "b")]));
    }

    #[test]
    fn an_older_agent_reads_what_it_knows_of_a_newer_answer() {
        let sent = DescribeResponse {
            members: vec![Member { id: 4, version: "0.1.0".to_owned(), ..Member::default() }],
            ..DescribeResponse::default()
        };
        let mut bytes = sent.encode_to_vec();
        // Field 2047, length 0: one that this version does not know.
        bytes.extend([0xFA, 0x7F, 0]);
        assert_eq!(DescribeResponse::decode(&bytes[..]), Ok(sent));
        assert!(
            CheckRestartRequest::decode(&[0x0A, 0xFF][..]).is_err(),
            "a length beyond the end is refused"
        );
    }
}
