//! The Route header fields of a request.

use std::net::SocketAddr;

use crate::reason::Reason;
use crate::scan::Span;
use crate::sip::fault::Fault;
use crate::sip::header::{HeaderName, Values};
use crate::sip::message::{Field, Message};
use crate::sip::name_addr::NameAddrs;
use crate::sip::uri::Uri;
use crate::target::Numeric;

/// One value of a Route header field.
#[derive(Clone, Copy, Debug)]
pub struct RouteValue {
    /// The field it stands in.
    pub field: Field,
    /// All of it.
    pub whole: Span,
    /// Its URI.
    pub uri: RouteUri,
}

/// The URI of a Route.
#[derive(Clone, Copy, Debug)]
pub struct RouteUri {
    /// Where it stands.
    pub span: Span,
    /// As it was read.
    pub(super) uri: Uri,
    /// What it names: a numeric address, or `None`: a name.
    pub endpoint: Option<SocketAddr>,
    /// It has the `lr` of a loose router (RFC 3261 §19.1.1).
    pub loose: bool,
}

impl RouteUri {
    pub(super) fn new(text: &[u8], span: Span, uri: Uri) -> Self {
        let endpoint = Numeric::of(text, &uri).map(|target| target.endpoint());
        Self { span, uri, endpoint, loose: uri.last_parameter(text, b"lr").is_some() }
    }
}

/// The Routes of a request, and what becomes of them. Kept from one request to
/// the next for the room it takes.
#[derive(Debug, Default)]
pub struct Routes {
    /// All values, in order.
    pub values: Vec<RouteValue>,
    /// How many on top are popped.
    pub popped: usize,
    /// The last one became the Request-URI: a strict router sent this.
    pub last_is_request_uri: bool,
    /// A stranger had another port when the dialog began.
    pub has_another_port: bool,
    /// The topmost remaining one becomes the Request-URI: a strict router is next.
    pub next_is_strict: bool,
}

impl Routes {
    /// Reads the Routes of a message.
    pub(super) fn read(&mut self, message: &Message<'_>) -> Result<(), Reason> {
        self.values.clear();
        self.popped = 0;
        (self.last_is_request_uri, self.has_another_port, self.next_is_strict) = (false, false, false);
        for field in message.all(HeaderName::ROUTE) {
            let before = self.values.len();
            for value in NameAddrs::new(message.bytes, field.value, Values::List) {
                let value = value.map_err(|_| Reason::Malformed(Fault::Value("Route")))?;
                let uri = Uri::within(message.bytes, value.uri)
                    .ok_or_else(|| Reason::Malformed(Fault::of_uri(value.uri.of(message.bytes), "Route")))?;
                let uri = RouteUri::new(message.bytes, value.uri, uri);
                self.values.push(RouteValue { field: *field, whole: value.whole, uri });
            }
            if self.values.len() == before {
                return Err(Reason::Malformed(Fault::Value("Route")));
            }
        }
        Ok(())
    }

    /// The topmost of those that stay.
    pub fn next(&self) -> Option<&RouteValue> {
        let end = self.values.len().saturating_sub(usize::from(self.last_is_request_uri));
        self.values.get(..end)?.get(self.popped)
    }
}
