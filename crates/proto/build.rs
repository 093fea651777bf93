//! Generates the messages, and with the feature `grpc` the services, without protoc.

fn main() -> anyhow::Result<()> {
    println!("cargo:rerun-if-changed=proto");
    let sources = ["etcd/rpc.proto", "quorate/backup.proto", "quorate/peer.proto"];
    let files = protox::compile(sources, ["proto"])?;
    let services = std::env::var_os("CARGO_FEATURE_GRPC").is_some();
    tonic_prost_build::configure()
        .build_client(services)
        .build_server(services)
        .bytes(".")
        .compile_fds(files)?;
    Ok(())
}
