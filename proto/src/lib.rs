//! All that the operator and the agents share: the messages and services of the .proto files beside this crate, which carry the documentation.
//!
//! Must not know: what an agent does with a request. Read first: `streamkeeper/v1alpha1/membership.proto`, then `rebalance.proto` and
//! `topics.proto`.
#![forbid(unsafe_code)]

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

/// The .proto files as an encoded `google.protobuf.FileDescriptorSet`, for server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::v1alpha1::{CheckRestartRequest, DescribeResponse, Member};

    #[test]
    fn every_service_is_described_for_reflection() {
        let text = String::from_utf8_lossy(super::DESCRIPTORS);
        for name in ["Membership", "Rebalance", "Topics", "CheckRestart", "HandOver"] {
            assert!(text.contains(name), "{name} is missing in the descriptors");
        }
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
