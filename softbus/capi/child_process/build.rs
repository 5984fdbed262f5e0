//! Gives the library the name by which programs ask for it, wherever it lies.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libchild_process.so");
}
