//! sipproxy64: a bridge for telephony between IPv4 and IPv6.
//!
//! The program is a core without IO and a shell around it. In the core, bytes,
//! configuration and time are arguments; bytes, a destination and commands are
//! the answer. The shell is this package, and all below it but [`recording`] the
//! package [`sipproxy64_core`], in `core/`.
//! Every `use` points down this list, of which the first four rows are the shell:
//!
//! | layer  | modules | what |
//! |--------|---------|------|
//! | program | `main` [`cli`] [`check`] [`status_command`] [`daemon`] [`takeover`] [`captures`] [`metrics`] [`status`] | what was asked for: start, end, what is shown |
//! | threads | [`signalling`] [`relay`] [`resolver`] [`observer`] [`hep`] [`pcap`] [`record`] [`transcript`] | messages and packets on their way, and who looks at them |
//! | system | [`socket`] [`logging`] [`process`] [`sandbox`] [`service`] [`control`] | sockets, files, logs, rights |
//! | base   | [`clock`] `task` `orders` [`endpoint`] [`interfaces`] [`secret`] [`file_id`] [`glance`] [`redact`] [`escaped`] [`decimal`] [`diff`] [`test_output`] | what the shell builds on |
//! | proxy  | [`proxy`] | the daemon without sockets |
//! | decide | [`route`] [`rewrite`] [`recording`], beside them [`media`] | where a message goes and how it leaves; who may speak on a stream |
//! | ground | [`family`] [`hashing`] [`siphash`] [`config`] [`address`] [`token`] [`limit`] [`branch`] [`target`] [`reason`] [`streams`] [`edit`] | values and bytes |
//! | read   | [`sip`] [`sdp`] | borrowed views of one datagram |
//! | text   | [`scan`] [`text`] | character classes and a cursor; writing |

pub mod captures;
pub mod check;
pub mod cli;
pub mod clock;
pub mod control;
pub mod daemon;
pub mod decimal;
pub mod diff;
pub mod endpoint;
pub mod escaped;
pub mod file_id;
pub mod glance;
pub mod hep;
pub mod interfaces;
pub mod logging;
pub mod metrics;
pub mod observer;
mod orders;
pub mod pcap;
pub mod process;
pub mod record;
pub mod recording;
pub mod redact;
pub mod relay;
pub mod resolver;
pub mod sandbox;
pub mod secret;
pub mod service;
pub mod signalling;
pub mod socket;
pub mod status;
pub mod status_command;
pub mod takeover;
mod task;
pub mod test_output;
pub mod transcript;

pub use sipproxy64_core::{
    address, branch, config, edit, family, hashing, limit, media, proxy, reason, rewrite, route, scan, sdp, sip,
    siphash, streams, target, text, token,
};
