//! How the program that is released is linked.
//!
//! A panic ends it (`panic = "abort"`), so nothing ever unwinds its stack; the tables
//! for that would be an eighth of the file, as the standard library brings them. The
//! message of a panic names file and line without them. Builds with debug information
//! keep them, for debuggers and profilers: `CARGO_PROFILE_RELEASE_DEBUG=1`.

use std::env;

/// Linkers that know no scripts.
const LINKERS_WITHOUT_SCRIPTS: [&str; 3] = ["mold", "gold", "wild"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name| env::var(name).unwrap_or_default();
    let is_released = variable("PROFILE") == "release" && variable("DEBUG") == "false";
    let linker = variable("RUSTC_LINKER") + &variable("CARGO_ENCODED_RUSTFLAGS");
    let takes_scripts = !LINKERS_WITHOUT_SCRIPTS.iter().any(|other| linker.contains(other));
    if is_released && variable("CARGO_CFG_TARGET_OS") == "linux" && takes_scripts {
        println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{}/etc/without-unwinding.ld", variable("CARGO_MANIFEST_DIR"));
    }
}
