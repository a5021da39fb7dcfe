//! Round trips of messages, and hostile bytes.

use bytes::{Bytes, BytesMut};
use streamkeeper_base::piece::{Piece, joined as joined_pieces};

use super::api;
use super::codec::{Decoder, Encoder, Records};
use super::generated::api_versions_response::{ApiVersion, ApiVersionsResponse};
use super::generated::fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData};
use super::generated::metadata_request::MetadataRequest;
use super::generated::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};

fn joined(encoder: Encoder) -> Bytes {
    joined_pieces(encoder.finish()).expect("in memory")
}

#[test]
fn produce_reads_back_in_every_version() {
    for version in 3..=13 {
        let data = PartitionProduceData {
            index: 4,
            records: Some(Records(vec![Bytes::from(vec![7; 3000]).into()])),
        };
        let mut topic = TopicProduceData { partition_data: vec![data], ..TopicProduceData::default() };
        if version >= 13 {
            topic.topic_id = [3; 16];
        } else {
            topic.name = "t".into();
        }
        let request =
            ProduceRequest { transactional_id: None, acks: -1, timeout_ms: 5, topic_data: vec![topic] };
        let mut encoder = Encoder::new();
        request.encode(&mut encoder, version);
        let mut decoder = Decoder(joined(encoder));
        assert_eq!(ProduceRequest::decode(&mut decoder, version), Ok(request), "version {version}");
        assert!(decoder.0.is_empty());
    }
}

#[test]
fn fetched_records_leave_without_a_copy() {
    let records = Bytes::from(vec![9; 100_000]);
    let partition =
        PartitionData { records: Some(Records(vec![records.clone().into()])), ..PartitionData::default() };
    let topic = FetchableTopicResponse { partitions: vec![partition], ..FetchableTopicResponse::default() };
    let response = FetchResponse { responses: vec![topic], ..FetchResponse::default() };
    for version in 4..=18 {
        let mut encoder = Encoder::new();
        response.encode(&mut encoder, version);
        let pieces = encoder.finish();
        assert!(
            pieces.iter().any(|p| matches!(p, Piece::Ready(p) if p.as_ptr() == records.as_ptr())),
            "version {version}"
        );
        let mut decoder = Decoder(joined_pieces(pieces).expect("in memory"));
        let read = FetchResponse::decode(&mut decoder, version).expect("our own bytes");
        assert_eq!(read.responses[0].partitions[0].records.as_ref().map(Records::len), Some(100_000));
    }
}

#[test] // KIP-511
fn the_header_of_api_versions_never_changes() {
    let response = ApiVersionsResponse {
        api_keys: vec![ApiVersion { api_key: 1, min_version: 2, max_version: 3 }],
        ..ApiVersionsResponse::default()
    };
    let mut encoder = Encoder::new();
    api::encode_response_header(&mut encoder, api::API_VERSIONS, 4, 77);
    response.encode(&mut encoder, 4);
    let bytes = joined(encoder);
    assert_eq!(bytes[..4], 77_i32.to_be_bytes());
    let mut decoder = Decoder(bytes.slice(4..));
    assert_eq!(ApiVersionsResponse::decode(&mut decoder, 4), Ok(response));
}

#[test] // rule 5: null and empty lists differ
fn null_topics_mean_all_and_an_empty_list_means_none() {
    for (topics, version) in [(None, 1), (Some(vec![]), 1), (None, 12), (Some(vec![]), 12)] {
        let request = MetadataRequest { topics, ..MetadataRequest::default() };
        let mut encoder = Encoder::new();
        request.encode(&mut encoder, version);
        let read = MetadataRequest::decode(&mut Decoder(joined(encoder)), version).expect("our own bytes");
        assert_eq!(read.topics, request.topics);
    }
}

#[test]
fn forged_counts_and_lengths_are_errors() {
    let mut bytes = vec![0; 6];
    bytes.extend(i32::MAX.to_be_bytes());
    bytes.extend([0; 8]);
    assert!(ProduceRequest::decode(&mut Decoder(Bytes::from(bytes)), 3).is_err());
    for seed in 0..2000_u64 {
        let mut random = streamkeeper_base::Random::new(seed);
        let noise: Vec<u8> = (0..random.below(60)).map(|_| random.next_u64() as u8).collect();
        for version in [0, 5, 9, 12, 13] {
            let _ = ProduceRequest::decode(&mut Decoder(Bytes::from(noise.clone())), version);
            let _ = MetadataRequest::decode(&mut Decoder(Bytes::from(noise.clone())), version);
        }
        let _ = api::decode_request_header(&mut Decoder(Bytes::from(noise)));
    }
    let mut buffer = BytesMut::from(&[0x7F, 0xFF, 0xFF, 0xFF, 0][..]);
    assert!(super::frame::decode(&mut buffer).is_err());
}
