//! What becomes of a message that goes into a recording: signatures under the
//! key of test mode, and on request nobody's addresses, names and numbers.
//!
//! Messages carry signatures of ours back to us, under the key of the running
//! daemon. Test mode has another key, so a recording is sealed anew: each
//! signature that the daemon believes becomes the one that test mode would have
//! written in its place, and no other does. That takes nothing but the message
//! and the two keys, so that a recording may begin anywhere in a call.

pub mod anonymous;
pub mod command_line;
pub mod length;
pub mod seals;
