//! Writes `agent/wire/src/kafka/generated/` from the message schemas inside the `kafka-clients` artifact.
//!
//! The artifact comes by its Maven coordinates into a cache outside the tree; the schemas are read, never copied.
//! Read first: [`run`], `schema`, `emit`.

mod emit;
mod schema;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use schema::Message;

const VERSION: &str = "4.3.1";

/// The messages that agents speak. Others are not built yet, so they are neither generated nor advertised.
const MESSAGES: &[&str] = &[
    "ProduceRequest",
    "ProduceResponse",
    "FetchRequest",
    "FetchResponse",
    "ListOffsetsRequest",
    "ListOffsetsResponse",
    "MetadataRequest",
    "MetadataResponse",
    "OffsetCommitRequest",
    "OffsetCommitResponse",
    "OffsetFetchRequest",
    "OffsetFetchResponse",
    "FindCoordinatorRequest",
    "FindCoordinatorResponse",
    "JoinGroupRequest",
    "JoinGroupResponse",
    "HeartbeatRequest",
    "HeartbeatResponse",
    "LeaveGroupRequest",
    "LeaveGroupResponse",
    "SyncGroupRequest",
    "SyncGroupResponse",
    "DescribeGroupsRequest",
    "DescribeGroupsResponse",
    "ListGroupsRequest",
    "ListGroupsResponse",
    "ApiVersionsRequest",
    "ApiVersionsResponse",
    "CreateTopicsRequest",
    "CreateTopicsResponse",
    "DeleteTopicsRequest",
    "DeleteTopicsResponse",
    "InitProducerIdRequest",
    "InitProducerIdResponse",
    "OffsetForLeaderEpochRequest",
    "OffsetForLeaderEpochResponse",
    "DescribeConfigsRequest",
    "DescribeConfigsResponse",
    "CreatePartitionsRequest",
    "CreatePartitionsResponse",
    "DeleteGroupsRequest",
    "DeleteGroupsResponse",
    "DescribeClusterRequest",
    "DescribeClusterResponse",
    "DescribeTopicPartitionsRequest",
    "DescribeTopicPartitionsResponse",
    "RequestHeader",
    "ResponseHeader",
];

/// Writes the codec, or compares it with what is committed.
pub(crate) fn run(root: &Path, check: bool) -> Result<()> {
    let schemas = read_schemas(&artifact()?)?;
    let directory = root.join("agent/wire/src/kafka/generated");
    let mut files = BTreeMap::new();
    let mut modules = Vec::new();
    for name in MESSAGES {
        let text = schemas.get(*name).with_context(|| format!("the artifact has no schema {name}"))?;
        let message = Message::parse(text).with_context(|| (*name).to_owned())?;
        let module = emit::snake(name);
        files.insert(directory.join(format!("{module}.rs")), format_rust(&emit::message(&message)?, root)?);
        modules.push((module, message));
    }
    files.insert(directory.join("mod.rs"), format_rust(&emit::index(&modules, VERSION), root)?);
    if check { compare(&directory, &files) } else { write(&directory, &files) }
}

fn compare(directory: &Path, files: &BTreeMap<PathBuf, String>) -> Result<()> {
    for (path, text) in files {
        let committed = fs::read_to_string(path).unwrap_or_default();
        if committed != *text {
            bail!("{} differs from what the schemas give; run `cargo xtask codegen`", path.display());
        }
    }
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if !files.contains_key(&path) {
            bail!("{} is not generated any more; remove it", path.display());
        }
    }
    println!("codegen: {} files agree with kafka-clients {VERSION}", files.len());
    Ok(())
}

fn write(directory: &Path, files: &BTreeMap<PathBuf, String>) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    fs::create_dir_all(directory)?;
    for (path, text) in files {
        fs::write(path, text)?;
    }
    println!("codegen: wrote {} files", files.len());
    Ok(())
}

/// The artifact, fetched once.
fn artifact() -> Result<PathBuf> {
    let cache = std::env::var_os("STREAMKEEPER_CACHE")
        .map_or_else(|| std::env::home_dir().unwrap_or_default().join(".cache/streamkeeper"), PathBuf::from);
    let name = format!("kafka-clients-{VERSION}.jar");
    let path = cache.join(&name);
    if !path.exists() {
        fs::create_dir_all(&cache)?;
        let status = Command::new("mvn")
            .args(["-q", "-B", "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"])
            .arg(format!("-Dartifact=org.apache.kafka:kafka-clients:{VERSION}"))
            .arg(format!("-DoutputDirectory={}", cache.display()))
            .status()
            .context("mvn is missing; install Maven to generate or check the Kafka codec")?;
        if !status.success() || !path.exists() {
            bail!("Maven could not fetch org.apache.kafka:kafka-clients:{VERSION}");
        }
    }
    Ok(path)
}

fn read_schemas(artifact: &Path) -> Result<BTreeMap<String, String>> {
    let mut archive = zip::ZipArchive::new(fs::File::open(artifact)?)?;
    let mut schemas = BTreeMap::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        let path = file.name()?.into_owned();
        if let Some(name) = path.strip_prefix("common/message/").and_then(|n| n.strip_suffix(".json")) {
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            schemas.insert(name.to_owned(), text);
        }
    }
    Ok(schemas)
}

fn format_rust(text: &str, root: &Path) -> Result<String> {
    use std::io::Write as _;
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(root.join("rustfmt.toml"))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .context("rustfmt is missing")?;
    child.stdin.take().context("rustfmt takes no input")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("rustfmt refuses generated code:\n{text}");
    }
    Ok(String::from_utf8(output.stdout)?)
}
