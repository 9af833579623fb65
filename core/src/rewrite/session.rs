//! Offer and answer: streams asked for, then granted ports written in (RFC
//! 3264, RFC 6157).
//!
//! A description passes in two steps, with the media table between them:
//!
//! 1. [`wanted`] says, one entry for each `m=` line, where its sender receives.
//! 2. [`edits`] writes in what the table granted, so that the description leaves
//!    in the other family.
//!
//! A stream that passes untouched keeps its lines; one that is relayed gets our
//! address and port, and loses the attributes that would lead media past the
//! relay ([`attributes`] has the list). Where both kinds share one `c=` line at
//! session level, one of them gets a `c=` line of its own. Nothing changes in a
//! description of which all streams pass untouched.
//!
//! ```
//! use sipproxy64_core::edit::Edits;
//! use sipproxy64_core::family::Family;
//! use sipproxy64_core::rewrite::session;
//! use sipproxy64_core::scan::Span;
//! use sipproxy64_core::sdp::description::{Description, Room};
//! use sipproxy64_core::streams::Grant;
//!
//! let sdp = b"v=0\r\no=bob 1 1 IN IP6 2001:db8:9::55\r\ns=-\r\nc=IN IP6 2001:db8:9::55\r\nt=0 0\r\n\
//!             m=audio 40000 RTP/AVP 0\r\n";
//! let mut room = Room::default();
//! let description = Description::parse(sdp, Span::new(0, sdp.len()), &mut room)?;
//! let mut wanted = Vec::new();
//! session::wanted(&description, &mut wanted);
//! assert_eq!((wanted[0].address, wanted[0].port), (Some("2001:db8:9::55".parse().unwrap()), 40000));
//!
//! let mut edits = Edits::default();
//! session::edits(&description, &[Grant::Relayed { port: 16384 }], Family::V6, b"IN IP4 192.0.2.1", &mut edits);
//! let mut out = Vec::new();
//! edits.apply(sdp, &mut out);
//! assert_eq!(out, b"v=0\r\no=bob 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
//!                   m=audio 16384 RTP/AVP 0\r\n");
//! # Ok::<(), sipproxy64_core::sdp::malformed::Malformed>(())
//! ```

pub mod attributes;
mod wanted;
mod writer;

pub use wanted::wanted;
pub use writer::edits;
