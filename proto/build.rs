//! Makes the types of `src/lib.rs` from the .proto files at each build, without `protoc`: they cannot drift apart.
#![allow(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]

use std::path::PathBuf;

use prost::Message;

const FILES: [&str; 4] = ["common", "membership", "rebalance", "topics"];

fn main() -> anyhow::Result<()> {
    let files = FILES.map(|name| format!("streamkeeper/v1alpha1/{name}.proto"));
    for file in &files {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(&files, ["."])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
