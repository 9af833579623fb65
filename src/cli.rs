//! What the command line says.

use std::path::PathBuf;

use crate::config::Config;

/// What the command line says.
#[derive(Debug)]
pub struct Options {
    /// What the core decides by, checked.
    pub config: Config,
    /// What is to be done.
    pub mode: Mode,
    /// `--freebind`: bind addresses that are not on an interface yet.
    pub freebind: bool,
    /// `--dscp`: the DSCP of relayed media; `None`: as the system has it.
    pub dscp: Option<u8>,
    /// `-q` is -1, each `-v` adds 1.
    pub verbosity: i8,
}

/// What is to be done.
#[derive(Debug)]
pub enum Mode {
    /// The daemon.
    Run,
    /// `--test` without files: binds as usual, prints each message on stdout instead of sending it.
    Print,
    /// `--test FILE...`: no sockets.
    Transcript(Vec<PathBuf>),
}
