//! Media: sessions, their streams, ports and latches (no sockets).
//!
//! The *table* joins SIP dialogs to streams and decides, by what the messages
//! say, which ports a stream has and who its parties are. A *stream* is one
//! `m=` line; it has two *legs*, one on each side, and each leg a *latch* that
//! says whom packets may come from and where they go. The table lives with the
//! signalling; each stream lives with the thread that relays it, and
//! [`command::Command`]s carry what the one tells the other.

pub mod allocations;
pub mod allowance;
pub mod command;
pub mod describe;
pub mod destination;
pub mod exchange;
pub mod latch;
pub mod limits;
pub mod packet;
pub mod ports;
pub mod quality;
pub mod saved;
pub mod session;
pub mod signal;
pub mod stream;
pub mod table;
pub mod tags;
pub mod trial;
pub mod usage;
pub mod view;
