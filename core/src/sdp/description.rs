//! A session description and its sections (RFC 8866 §5).

use super::attribute::{Attribute, Direction, Name};
use super::connection::Connection;
use super::line::{Line, Lines};
use super::malformed::{Malformed, SdpFault};
use super::media::{MediaLine, Rtcp};
use crate::scan::Span;

/// A session description within a message.
///
/// An example stands at the head of [`crate::sdp`].
#[derive(Clone, Copy, Debug)]
pub struct Description<'a> {
    message: &'a [u8],
    part: Span,
    /// Where its first line ends.
    line_end: Span,
    found: &'a Room,
}

/// Room for what is found in a description, kept from one to the next.
#[derive(Debug, Default)]
pub struct Room {
    session: Section,
    media: Vec<MediaDescription>,
    /// Those of all sections, in order.
    statements: Vec<Statement>,
}

impl<'a> Description<'a> {
    /// Reads what stands in `part` of `message`. A part without any line is a
    /// description without streams: some send an empty body with the type of
    /// SDP.
    ///
    /// # Errors
    /// The first thing that is wrong, and its place.
    pub fn parse(message: &'a [u8], part: Span, room: &'a mut Room) -> Result<Self, Malformed> {
        let part = Span::new(part.start, part.end.min(message.len()));
        room.clear();
        let mut reader =
            Reader { message, section: Section::new(part.start, 0), media: None, only_titles: false, room };
        let mut line_end = None;
        let mut lines = Lines::new(message, part);
        loop {
            // Two steps, not one iterator of results, which would slow the loop down.
            let line = match lines.next_plain() {
                Some(line) => line,
                None => match lines.next_odd() {
                    Some(line) => line?,
                    None => break,
                },
            };
            if line_end.is_none() {
                line_end = Some(line.line_end());
                if line.kind != b'v' {
                    return Err(Malformed::new(line.whole().start, SdpFault::NoVersion));
                }
            }
            if matters(message, &line) {
                reader.line(line)?;
            } else {
                reader.only_titles = false;
            }
        }
        reader.close_section(part.end);
        let description = Self { message, part, line_end: line_end.unwrap_or_default(), found: room };
        description.check_connections()?;
        Ok(description)
    }

    /// Every stream that has a port has an address (RFC 8866 §5.7).
    fn check_connections(&self) -> Result<(), Malformed> {
        if self.session().connection.is_some() {
            return Ok(());
        }
        let lacks = |media: &&MediaDescription| {
            media.section.connection.is_none() && media.line.port != 0 && !media.line.is_within_sip(self.message)
        };
        match self.media().find(lacks) {
            Some(media) => Err(Malformed::new(media.section.span.start, SdpFault::NoConnection)),
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
    pub fn session(&self) -> &'a Section {
        &self.found.session
    }

    /// Its media sections, in order: one for each `m=` line.
    pub fn media(&self) -> std::slice::Iter<'a, MediaDescription> {
        self.found.media.iter()
    }

    /// What a section of it says of addresses and ports, in order.
    pub fn statements(&self, section: &Section) -> &'a [Statement] {
        self.found.statements.get(section.statements.range()).unwrap_or_default()
    }

    /// The line end that it uses: that of its first line, CRLF if there is none.
    pub fn line_end(&self) -> &'static str {
        match self.line_end.of(self.message) {
            b"\n" => "\n",
            b"\r" => "\r",
            _ => "\r\n",
        }
    }
}

/// A run of lines: the session section or one media section.
#[derive(Clone, Copy, Debug, Default)]
pub struct Section {
    /// Where in the message it stands.
    pub span: Span,
    /// Its first `c=` line.
    pub connection: Option<Connection>,
    /// Further `c=` lines follow: layers of multicast.
    pub is_layered: bool,
    /// The direction it states, if it does; of several the last (RFC 8866 §6.7).
    pub direction: Option<Direction>,
    /// Whether RTCP may share the port of RTP (RFC 5761, RFC 8858).
    pub is_rtcp_mux: bool,
    /// Whether it has credentials for ICE (RFC 8839 §5.4).
    pub has_ice_credentials: bool,
    /// The value of its first `a=rtcp` (RFC 3605).
    rtcp: Option<Span>,
    /// Which of the description's statements are its own.
    statements: Span,
}

impl Section {
    /// One that begins here, behind so many statements of others, and ends nowhere yet.
    fn new(start: usize, statements: usize) -> Self {
        let statements = Span::new(statements, statements);
        Self { span: Span::new(start, start), statements, ..Self::default() }
    }
}

/// A line that says something of addresses or ports, beside `m=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statement {
    /// An `o=` line.
    Origin(Line),
    /// A `c=` line, and what it says.
    Connection(Line, Connection),
    /// An `a=` line with a name that is known.
    Attribute(Attribute),
}

/// A media section: an `m=` line and what belongs to it.
#[derive(Clone, Copy, Debug)]
pub struct MediaDescription {
    /// Its `m=` line.
    pub line: MediaLine,
    /// All its lines, the `m=` line first.
    pub section: Section,
    /// The line end behind which a `c=` line belongs (RFC 8866 §5: `m=`, then
    /// `i=`, then `c=`); the last line may lack it.
    pub end_before_connection: Span,
}

impl MediaDescription {
    /// Where RTCP is wanted, if it says so in a way that can be read.
    pub fn rtcp(&self, message: &[u8]) -> Option<Rtcp> {
        Rtcp::read(message, self.section.rtcp?)
    }
}

impl Room {
    fn clear(&mut self) {
        self.media.clear();
        self.statements.clear();
    }
}

/// Whether anything in a line may matter. Most are passed over by their first letters.
#[inline]
fn matters(message: &[u8], line: &Line) -> bool {
    match line.kind {
        b'a' => Name::may_begin(line.value.of(message)),
        kind => matches!(kind, b'm' | b'i' | b'o' | b'c'),
    }
}

/// A description while its lines are gone through.
struct Reader<'a> {
    message: &'a [u8],
    /// The section that the lines belong to.
    section: Section,
    /// Its `m=` line, and the line end behind which a `c=` line belongs.
    media: Option<(MediaLine, Span)>,
    /// Behind the last `m=` line, only `i=` lines came so far.
    only_titles: bool,
    room: &'a mut Room,
}

impl Reader<'_> {
    #[inline(never)] // Within the loop over all lines it would slow that down.
    fn line(&mut self, line: Line) -> Result<(), Malformed> {
        match line.kind {
            b'm' => return self.media(line),
            b'i' if self.only_titles => {
                if let Some((_, before_connection)) = &mut self.media {
                    *before_connection = line.line_end();
                }
                return Ok(());
            }
            b'o' => self.room.statements.push(Statement::Origin(line)),
            b'c' => self.connection(line)?,
            b'a' => {
                if let Some(attribute) = Attribute::read(self.message, line) {
                    self.attribute(attribute);
                }
            }
            _ => {}
        }
        self.only_titles = false;
        Ok(())
    }

    fn media(&mut self, line: Line) -> Result<(), Malformed> {
        let media = MediaLine::read(self.message, line.value)?;
        let start = line.whole().start;
        self.close_section(start);
        self.section = Section::new(start, self.room.statements.len());
        self.media = Some((media, line.line_end()));
        self.only_titles = true;
        Ok(())
    }

    fn close_section(&mut self, end: usize) {
        self.section.span.end = end;
        self.section.statements.end = self.room.statements.len();
        let section = self.section;
        match self.media {
            None => self.room.session = section,
            Some((line, end_before_connection)) => {
                self.room.media.push(MediaDescription { line, section, end_before_connection });
            }
        }
    }

    fn connection(&mut self, line: Line) -> Result<(), Malformed> {
        let connection = Connection::read(self.message, line.value)?;
        self.section.is_layered = self.section.connection.is_some();
        self.section.connection.get_or_insert(connection);
        self.room.statements.push(Statement::Connection(line, connection));
        Ok(())
    }

    fn attribute(&mut self, attribute: Attribute) {
        match attribute.name {
            Name::Direction(direction) => return self.section.direction = Some(direction),
            Name::RtcpMux => return self.section.is_rtcp_mux = true,
            Name::IceCredential => self.section.has_ice_credentials = true,
            Name::Rtcp => drop(self.section.rtcp.get_or_insert(attribute.value)),
            _ => {}
        }
        self.room.statements.push(Statement::Attribute(attribute));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<'a>(text: &'a str, room: &'a mut Room) -> Result<Description<'a>, Malformed> {
        Description::parse(text.as_bytes(), Span::new(0, text.len()), room)
    }

    const CALL: &str = "v=0\r\nc=IN IP4 192.0.2.1\r\na=sendonly\r\nm=audio 5000 RTP/AVP 0\r\ni=x\r\na=rtcp-mux\r\n\
                        a=SendRecv\r\nm=video 0 RTP/AVP 31\r\n";

    #[test]
    fn sections_make_up_the_whole() {
        let mut room = Room::default();
        let description = parse(CALL, &mut room).unwrap();
        let mut rebuilt = CALL[description.session().span.range()].to_owned();
        description.media().for_each(|media| rebuilt.push_str(&CALL[media.section.span.range()]));
        assert_eq!(rebuilt, CALL);
    }

    #[test]
    fn spans_are_those_of_the_whole_message() {
        let message = format!("INVITE x SIP/2.0\r\n\r\n{CALL}--end");
        let part = Span::new(20, 20 + CALL.len());
        let mut room = Room::default();
        let description = Description::parse(message.as_bytes(), part, &mut room).unwrap();
        let ports: Vec<_> = description.media().map(|media| &message[media.line.port_span.range()]).collect();
        assert_eq!(ports, ["5000", "0"]);
    }

    #[test]
    fn attributes_belong_to_their_section() {
        let mut room = Room::default();
        let description = parse(CALL, &mut room).unwrap();
        assert_eq!(description.session().direction, Some(Direction::SendOnly));
        let found: Vec<_> =
            description.media().map(|media| (media.section.is_rtcp_mux, media.section.direction)).collect();
        assert_eq!(found, [(true, Some(Direction::SendReceive)), (false, None)]);
        let before = description.media().next().unwrap().end_before_connection;
        assert!(CALL[..before.end].ends_with("i=x\r\n"));
        assert_eq!(&CALL[before.range()], "\r\n");
    }

    #[test]
    fn the_first_a_rtcp_counts() {
        let text = "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 5 RTP/AVP 0\r\na=rtcp:7\r\na=rtcp:9\r\n\
                    m=audio 5 RTP/AVP 0\r\na=rtcp:x\r\na=rtcp:9\r\n";
        let mut room = Room::default();
        let found: Vec<_> = parse(text, &mut room).unwrap().media().map(|media| media.rtcp(text.as_bytes())).collect();
        assert_eq!(found, [Some(Rtcp { port: 7, address: None }), None]);
    }

    #[test]
    fn statements_are_those_of_their_section() {
        let text = "v=0\r\no=x\r\nc=IN IP4 192.0.2.1\r\na=sendrecv\r\nm=audio 5 RTP/AVP 0\r\n\
                    a=rtpmap:0 PCMU/8000\r\nm=audio 5 RTP/AVP 0\r\nc=IN IP4 192.0.2.2\r\nc=IN IP4 192.0.2.3\r\n\
                    a=candidate:x\r\n";
        let mut room = Room::default();
        let description = parse(text, &mut room).unwrap();
        let media = description.media().map(|media| &media.section);
        let count = |section| description.statements(section).len();
        assert_eq!([description.session()].into_iter().chain(media).map(count).collect::<Vec<_>>(), [2, 0, 3]);
        let layered = description.media().map(|media| media.section.is_layered).collect::<Vec<_>>();
        assert_eq!((description.session().is_layered, layered), (false, vec![false, true]));
    }

    #[test]
    fn faults_are_named_with_their_place() {
        let fault = |text| {
            parse(text, &mut Room::default()).map(|_| ()).map_err(|malformed| (malformed.offset, malformed.fault))
        };
        assert_eq!(fault("o=x\r\n"), Err((0, SdpFault::NoVersion)));
        assert_eq!(fault("v=0\r\nm=audio x RTP/AVP 0\r\n"), Err((13, SdpFault::MediaPort)));
        assert_eq!(fault("v=0\nm=audio 5 RTP/AVP 0\n"), Err((4, SdpFault::NoConnection)));
        assert_eq!(fault("v=0\nc=IN IP4 1.2.3.4.5\n"), Err((13, SdpFault::ConnectionAddress)));
        assert_eq!(fault("v=0\nm=audio 0 RTP/AVP 0\nm=message 5060 sip null\n"), Ok(()));
        assert_eq!(fault(""), Ok(()));
        assert_eq!(parse("o=x", &mut Room::default()).unwrap_err().to_string(), "SDP must begin with v= (byte 0)");
    }

    #[test]
    fn line_ends_are_those_of_the_first_line() {
        let line_end = |text| parse(text, &mut Room::default()).unwrap().line_end();
        assert_eq!(line_end("v=0\ns=-\r\n"), "\n");
        assert_eq!(line_end("v=0\r\ns=-\n"), "\r\n");
        assert_eq!(line_end("v=0"), "\r\n");
    }
}
