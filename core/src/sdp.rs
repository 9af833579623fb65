//! Reading SDP (RFC 8866): borrowed views of a session description.
//!
//! A description is a list of lines `<type>=<value>`. What stands in front of
//! the first `m=` line is the *session section*; each `m=` line begins a *media
//! section*, one stream. A line at session level holds for every stream that
//! does not say otherwise itself.
//!
//! [`description::Description`] reads a stretch of a SIP message: its body, or
//! one part of it. Everything found is named as a [`crate::scan::Span`] of the
//! whole message, so that it can be edited there. Each line is looked at once;
//! what is found is put into a [`description::Room`], which is kept from one
//! description to the next, so that nothing is allocated.
//!
//! What this reader takes, because it is sent: line ends CRLF, LF or CR, none
//! behind the last line; blank lines; `c=` behind `t=` or `a=`; brackets around
//! an IPv6 address; keywords in any case; blanks in the user name of `o=`. What
//! it refuses, because two readers could differ about it: a line that is no
//! `<type>=<value>`, a first line other than `v=`, a `c=` or `m=` line without a
//! clear address or port, a stream without any `c=`.
//!
//! ```
//! use sipproxy64_core::scan::Span;
//! use sipproxy64_core::sdp::connection::Address;
//! use sipproxy64_core::sdp::description::{Description, Room};
//!
//! let message = b"v=0\r\no=bob 1 1 IN IP6 2001:db8::5\r\ns=-\r\nc=IN IP6 2001:db8::5\r\nt=0 0\r\n\
//!                 m=audio 40000 RTP/AVP 0\r\na=rtcp:40001\r\nm=video 0 RTP/AVP 31\r\n";
//! let mut room = Room::default();
//! let description = Description::parse(message, Span::new(0, message.len()), &mut room)?;
//!
//! let connection = description.session().connection.unwrap();
//! assert_eq!(connection.address, Address::Numeric("2001:db8::5".parse().unwrap()));
//! assert_eq!(connection.span.of(message), b"IN IP6 2001:db8::5");
//!
//! let ports: Vec<u16> = description.media().map(|media| media.line.port).collect();
//! assert_eq!(ports, [40000, 0]);
//! let audio = description.media().next().unwrap();
//! assert_eq!(audio.line.port_span.of(message), b"40000");
//! assert_eq!(audio.rtcp(message).unwrap().port, 40001);
//! # Ok::<(), sipproxy64_core::sdp::malformed::Malformed>(())
//! ```

pub mod attribute;
pub mod connection;
pub mod description;
pub mod line;
pub mod malformed;
pub mod media;
