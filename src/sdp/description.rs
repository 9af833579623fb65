//! A session description and its sections (RFC 8866 §5).

use super::connection::Connection;
use super::line::{Attribute, Line, Lines};
use super::malformed::{Fault, Malformed};
use super::media::{MediaLine, Rtcp};
use crate::scan::Span;

/// A session description within a message.
///
/// An example stands at the head of [`crate::sdp`].
#[derive(Clone, Copy, Debug)]
pub struct Description<'a> {
    message: &'a [u8],
    part: Span,
    session: Span,
}

impl<'a> Description<'a> {
    /// Reads what stands in `part` of `message`. A part without any line is a
    /// description without streams: some send an empty body with the type of
    /// SDP.
    pub fn parse(message: &'a [u8], part: Span) -> Result<Self, Malformed> {
        let part = Span::new(part.start, part.end.min(message.len()));
        let mut session = part;
        let mut in_session = true;
        for (index, line) in Lines::new(message, part).enumerate() {
            let line = line?;
            if index == 0 && line.kind != b'v' {
                return Err(Malformed::new(line.whole.start, Fault::NoVersion));
            }
            match line.kind {
                b'm' => {
                    MediaLine::read(message, line.value)?;
                    if in_session {
                        session.end = line.whole.start;
                        in_session = false;
                    }
                }
                b'c' => drop(Connection::read(message, line.value)?),
                _ => {}
            }
        }
        let description = Self { message, part, session };
        description.check_connections()?;
        Ok(description)
    }

    /// Every stream that has a port has an address (RFC 8866 §5.7).
    fn check_connections(&self) -> Result<(), Malformed> {
        if self.session().connections().next().is_some() {
            return Ok(());
        }
        let lacks = |media: &MediaDescription<'_>| {
            let needs = media.line.port != 0 && !media.line.is_within_sip(self.message);
            needs && media.section.connections().next().is_none()
        };
        match self.media().find(lacks) {
            Some(media) => Err(Malformed::new(media.section.span.start, Fault::NoConnection)),
            None => Ok(()),
        }
    }

    /// The message that it stands in.
    pub fn message(&self) -> &'a [u8] {
        self.message
    }

    /// Where in the message it stands.
    pub fn span(&self) -> Span {
        self.part
    }

    /// All its lines, in order.
    pub fn lines(&self) -> impl Iterator<Item = Line> + use<'a> {
        Lines::new(self.message, self.part).flatten()
    }

    /// What stands in front of the first `m=` line.
    pub fn session(&self) -> Section<'a> {
        Section { message: self.message, span: self.session }
    }

    /// Its media sections, in order: one for each `m=` line.
    pub fn media(&self) -> MediaDescriptions<'a> {
        MediaDescriptions { message: self.message, left: Span::new(self.session.end, self.part.end) }
    }

    /// The line end that it uses: that of its first line, CRLF if there is none.
    pub fn line_end(&self) -> &'static str {
        let first = self.lines().next().filter(Line::is_ended);
        match first.map(|line| Span::new(line.value.end, line.whole.end).of(self.message)) {
            Some(b"\n") => "\n",
            Some(b"\r") => "\r",
            _ => "\r\n",
        }
    }
}

/// A run of lines: the session section or one media section.
#[derive(Clone, Copy, Debug)]
pub struct Section<'a> {
    message: &'a [u8],
    /// Where in the message it stands.
    pub span: Span,
}

impl<'a> Section<'a> {
    /// Its lines, in order.
    pub fn lines(&self) -> impl Iterator<Item = Line> + use<'a> {
        Lines::new(self.message, self.span).flatten()
    }

    /// Its `a=` lines, in order.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute> + use<'a> {
        let message = self.message;
        self.lines().filter_map(move |line| line.attribute(message))
    }

    /// Its `c=` lines, in order; more than one are layers of multicast.
    pub fn connections(&self) -> impl Iterator<Item = Connection> + use<'a> {
        let message = self.message;
        self.lines().filter(|line| line.kind == b'c').filter_map(move |line| Connection::read(message, line.value).ok())
    }

    /// Whether it has an attribute of that name.
    pub fn has(&self, name: &str) -> bool {
        self.attributes().any(|attribute| attribute.is(self.message, name))
    }

    /// The direction it states, if it does (RFC 8866 §6.7).
    pub fn direction(&self) -> Option<Direction> {
        self.attributes().filter_map(|attribute| Direction::from_name(attribute.name.of(self.message))).last()
    }
}

/// In which direction media flows, seen from who wrote the description (RFC
/// 8866 §6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Both ways, which is the default.
    SendReceive,
    /// The writer sends only: the other party is on hold.
    SendOnly,
    /// The writer listens only.
    ReceiveOnly,
    /// Neither way.
    Inactive,
}

impl Direction {
    /// The direction of that name, in any case (`a=SendRecv` occurs).
    fn from_name(name: &[u8]) -> Option<Self> {
        const NAMES: [(&[u8], Direction); 4] = [
            (b"sendrecv", Direction::SendReceive),
            (b"sendonly", Direction::SendOnly),
            (b"recvonly", Direction::ReceiveOnly),
            (b"inactive", Direction::Inactive),
        ];
        NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|&(_, direction)| direction)
    }
}

/// A media section: an `m=` line and what belongs to it.
#[derive(Clone, Copy, Debug)]
pub struct MediaDescription<'a> {
    /// Its `m=` line.
    pub line: MediaLine,
    /// All its lines, the `m=` line first.
    pub section: Section<'a>,
}

impl MediaDescription<'_> {
    /// Where RTCP is wanted, if it says so in a way that can be read.
    pub fn rtcp(&self) -> Option<Rtcp> {
        let message = self.section.message;
        let attribute = self.section.attributes().find(|attribute| attribute.is(message, "rtcp"))?;
        Rtcp::read(message, attribute.value?)
    }

    /// Whether RTCP may share the port of RTP (RFC 5761, RFC 8858).
    pub fn is_rtcp_mux(&self) -> bool {
        self.section.has("rtcp-mux") || self.section.has("rtcp-mux-only")
    }

    /// The line behind which a `c=` line belongs (RFC 8866 §5: `m=`, then
    /// `i=`, then `c=`).
    pub fn line_before_connection(&self) -> Option<Line> {
        let mut lines = self.section.lines();
        let first = lines.next()?;
        Some(lines.take_while(|line| line.kind == b'i').last().unwrap_or(first))
    }
}

/// The media sections of a description, in order.
#[derive(Clone, Debug)]
pub struct MediaDescriptions<'a> {
    message: &'a [u8],
    left: Span,
}

impl<'a> Iterator for MediaDescriptions<'a> {
    type Item = MediaDescription<'a>;

    fn next(&mut self) -> Option<MediaDescription<'a>> {
        let mut lines = Lines::new(self.message, self.left).flatten();
        let first = lines.next()?;
        let line = MediaLine::read(self.message, first.value).ok()?;
        let end = lines.find(|line| line.kind == b'm').map_or(self.left.end, |next| next.whole.start);
        let section = Section { message: self.message, span: Span::new(first.whole.start, end) };
        self.left.start = end;
        Some(MediaDescription { line, section })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Description<'_>, Malformed> {
        Description::parse(text.as_bytes(), Span::new(0, text.len()))
    }

    const CALL: &str = "v=0\r\nc=IN IP4 192.0.2.1\r\na=sendonly\r\nm=audio 5000 RTP/AVP 0\r\ni=x\r\na=rtcp-mux\r\n\
                        a=SendRecv\r\nm=video 0 RTP/AVP 31\r\n";

    #[test]
    fn sections_make_up_the_whole() {
        let description = parse(CALL).unwrap();
        let mut rebuilt = CALL[description.session().span.range()].to_owned();
        description.media().for_each(|media| rebuilt.push_str(&CALL[media.section.span.range()]));
        assert_eq!(rebuilt, CALL);
    }

    #[test]
    fn spans_are_those_of_the_whole_message() {
        let message = format!("INVITE x SIP/2.0\r\n\r\n{CALL}--end");
        let part = Span::new(20, 20 + CALL.len());
        let description = Description::parse(message.as_bytes(), part).unwrap();
        let ports: Vec<_> = description.media().map(|media| &message[media.line.port_span.range()]).collect();
        assert_eq!(ports, ["5000", "0"]);
    }

    #[test]
    fn attributes_belong_to_their_section() {
        let description = parse(CALL).unwrap();
        assert_eq!(description.session().direction(), Some(Direction::SendOnly));
        let found: Vec<_> = description.media().map(|media| (media.is_rtcp_mux(), media.section.direction())).collect();
        assert_eq!(found, [(true, Some(Direction::SendReceive)), (false, None)]);
        let before = description.media().next().unwrap().line_before_connection().unwrap();
        assert_eq!(&CALL[before.whole.range()], "i=x\r\n");
    }

    #[test]
    fn faults_are_named_with_their_place() {
        let fault = |text| parse(text).map(|_| ()).map_err(|malformed| (malformed.offset, malformed.fault));
        assert_eq!(fault("o=x\r\n"), Err((0, Fault::NoVersion)));
        assert_eq!(fault("v=0\r\nm=audio x RTP/AVP 0\r\n"), Err((13, Fault::MediaPort)));
        assert_eq!(fault("v=0\nm=audio 5 RTP/AVP 0\n"), Err((4, Fault::NoConnection)));
        assert_eq!(fault("v=0\nc=IN IP4 1.2.3.4.5\n"), Err((13, Fault::ConnectionAddress)));
        assert_eq!(fault("v=0\nm=audio 0 RTP/AVP 0\nm=message 5060 sip null\n"), Ok(()));
        assert_eq!(fault(""), Ok(()));
        assert_eq!(parse("o=x").unwrap_err().to_string(), "SDP must begin with v= (byte 0)");
    }

    #[test]
    fn line_ends_are_those_of_the_first_line() {
        assert_eq!(parse("v=0\ns=-\r\n").unwrap().line_end(), "\n");
        assert_eq!(parse("v=0\r\ns=-\n").unwrap().line_end(), "\r\n");
        assert_eq!(parse("v=0").unwrap().line_end(), "\r\n");
    }
}
