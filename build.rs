//! How the program that is released is linked.
//!
//! A panic ends it (`panic = "abort"`), so nothing ever unwinds its stack; the tables
//! for that would be an eighth of the file, as the standard library brings them. The
//! message of a panic names file and line without them. Builds with debug information
//! keep them, for debuggers and profilers: `CARGO_PROFILE_RELEASE_DEBUG=1`.

use std::env;

/// Linkers that know no scripts.
const OTHERS: [&str; 3] = ["mold", "gold", "wild"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let of = |name| env::var(name).unwrap_or_default();
    let is_released = of("PROFILE") == "release" && of("DEBUG") == "false";
    let linker = of("RUSTC_LINKER") + &of("CARGO_ENCODED_RUSTFLAGS");
    if is_released && of("CARGO_CFG_TARGET_OS") == "linux" && !OTHERS.iter().any(|other| linker.contains(other)) {
        println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{}/etc/without-unwinding.ld", of("CARGO_MANIFEST_DIR"));
    }
}
