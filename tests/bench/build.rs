//! Code of the peers' schemas, without their compilers: protox reads the `.proto`, and what `capnp compile -o-` makes
//! of `echo.capnp` is kept beside it.

use std::{error::Error, fs::File, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=schema");
    let descriptors = protox::compile(["echo.proto"], ["schema"])?;
    tonic_prost_build::configure()
        .bytes(".")
        .compile_fds(descriptors)?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    capnpc::codegen::CodeGenerationCommand::new()
        .output_directory(out)
        .default_parent_module(
            ["contestant", "capnp", "generated"]
                .map(str::to_owned)
                .to_vec(),
        )
        .run(File::open("schema/echo.capnp.request")?)?;
    Ok(())
}
