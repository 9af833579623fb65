//! The bridge that most tests are about, and the command line that makes it.
//!
//! ```text
//! IPv4                                            IPv6
//!
//! phone P1 192.0.2.101 ---.                  .--- uplink U6 2001:db8:456::12
//!                     192.0.2.1 ===== 2001:db8::1
//! phone P2 192.0.2.102 ---'                  '--- phone Q6 2001:db8:6::7
//!
//! fake G4 192.0.2.207, which is Q6                fake F1 2001:db8::101, which is P1
//!                                                 fake F2 2001:db8::102, which is P2
//! ```
//!
//! Who is at another address is a stranger.

/// All IPv4 addresses of the namespace: the proxy's, then the peers'.
pub const ADDRESSES4: [&str; 8] = [
    "192.0.2.1",
    "192.0.2.207",
    "192.0.2.101",
    "192.0.2.102",
    "198.51.100.9",
    "198.51.100.12",
    "198.51.100.66",
    "203.0.113.9",
];

/// All IPv6 addresses of the namespace: the proxy's, then the peers'.
pub const ADDRESSES6: [&str; 8] = [
    "2001:db8::1",
    "2001:db8::101",
    "2001:db8::102",
    "2001:db8:456::12",
    "2001:db8:9::55",
    "2001:db8:6::7",
    "2001:db8:66::66",
    "2001:db8:77::77",
];

/// The listen address of the IPv4 side.
pub const LISTEN4: &str = "192.0.2.1:5060";
/// The listen address of the IPv6 side.
pub const LISTEN6: &str = "[2001:db8::1]:5060";
/// Phone P1 and its fake.
pub const P1: &str = "192.0.2.101:5060";
pub const F1: &str = "[2001:db8::101]:5060";
/// Phone P2 and its fake.
pub const P2: &str = "192.0.2.102:5060";
pub const F2: &str = "[2001:db8::102]:5060";
/// Phone Q6, IPv6 only, and its fake.
pub const Q6: &str = "[2001:db8:6::7]:5060";
pub const G4: &str = "192.0.2.207:5060";
/// The uplink of the IPv6 side.
pub const U6: &str = "[2001:db8:456::12]:5060";
/// One of the IPv4 side, where a test asks for it.
pub const U4: &str = "198.51.100.12:5060";
/// Generic callers, on the port that the worked example has.
pub const X6: &str = "[2001:db8:9::55]:5062";
pub const X4: &str = "198.51.100.9:5062";
/// Strangers: nobody has heard of them.
pub const STRANGER4: &str = "198.51.100.66:5060";
pub const STRANGER6: &str = "[2001:db8:66::66]:5060";
/// A phone behind NAT as it is seen from here.
pub const NAT4: &str = "203.0.113.9:40123";

/// The command line under the picture.
pub const OPTIONS: [&str; 12] = [
    "-l",
    "192.0.2.1",
    "-L",
    "2001:db8::1",
    "-U",
    "2001:db8:456::12",
    "-m",
    "192.0.2.101=2001:db8::101",
    "-m",
    "192.0.2.102=2001:db8::102",
    "-m",
    "2001:db8:6::7=192.0.2.207",
];
