//! One party's side of a dialog (RFC 3261 §12) and of its offers and answers (RFC 3264).

use std::time::Duration;

use crate::description::{Line, Told};
use crate::message::Message;
use crate::uri::uri_of;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Early,
    Confirmed,
    Over,
}

/// An offer that waits for its answer.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) lines: Vec<Line>,
    /// The request whose exchange it is of.
    pub(crate) cseq: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Dialog {
    pub(crate) call_id: String,
    /// From of one's own requests, tag included.
    pub(crate) local: String,
    pub(crate) remote: String,
    /// The URI in the other's Contact.
    pub(crate) target: String,
    pub(crate) routes: Vec<String>,
    pub(crate) sequence: u32,
    pub(crate) remote_sequence: u32,
    pub(crate) state: State,
    pub(crate) is_caller: bool,
    /// The ACK of the first 2xx came, or was sent.
    pub(crate) acknowledged: bool,
    /// The initial INVITE's CSeq number.
    pub(crate) initial: u32,
    /// One's own lines as they were agreed upon, and the other's.
    pub(crate) lines: Vec<Line>,
    pub(crate) told: Vec<Told>,
    pub(crate) version: u32,
    pub(crate) offer: Option<Offer>,
    /// When it may offer again: what it answers in an ACK must not be overtaken, as
    /// whoever looks at the order would take it for an old one.
    pub(crate) rests_until: Duration,
    /// The ACKs of one's INVITEs, by CSeq, for 2xx that come again.
    pub(crate) acks: Vec<Message>,
    /// The RSeqs that are acknowledged, of a caller; that was sent, of a callee.
    pub(crate) reliable: Vec<u32>,
    pub(crate) acknowledged_reliable: bool,
    pub(crate) authorises: bool,
}

impl Dialog {
    /// The caller's, from a response with a To-tag (§12.1.2).
    pub(crate) fn of_caller(request: &Message, response: &Message) -> Self {
        let mut routes = response.list("Record-Route");
        routes.reverse();
        Self { routes, ..Self::new(request, request.value("From"), response.value("To"), response, true) }
    }

    /// The callee's (§12.1.1).
    pub(crate) fn of_callee(request: &Message, local: &str) -> Self {
        let routes = request.list("Record-Route");
        Self { routes, ..Self::new(request, local, request.value("From"), request, false) }
    }

    fn new(request: &Message, local: &str, remote: &str, contact: &Message, is_caller: bool) -> Self {
        let initial = request.cseq().0;
        Self {
            call_id: request.value("Call-ID").to_owned(),
            local: local.to_owned(),
            remote: remote.to_owned(),
            target: contact.find("Contact").map(|contact| uri_of(contact).to_owned()).unwrap_or_default(),
            routes: Vec::new(),
            sequence: if is_caller { initial } else { 1000 },
            remote_sequence: if is_caller { 0 } else { initial },
            state: State::Early,
            is_caller,
            acknowledged: false,
            initial,
            lines: Vec::new(),
            told: Vec::new(),
            version: 1,
            offer: None,
            rests_until: Duration::ZERO,
            acks: Vec::new(),
            reliable: Vec::new(),
            acknowledged_reliable: false,
            authorises: request.find("Proxy-Authorization").is_some(),
        }
    }

    /// A request within the dialog (§12.2.1.1), without a Via.
    pub(crate) fn request(&mut self, method: &str, contact: &str) -> Message {
        self.sequence += 1;
        self.numbered(method, contact, self.sequence)
    }

    pub(crate) fn numbered(&self, method: &str, contact: &str, number: u32) -> Message {
        let (uri, routes) = match self.routes.split_first() {
            Some((first, rest)) if !is_loose(first) => {
                (uri_of(first), rest.iter().cloned().chain([format!("<{}>", self.target)]).collect())
            }
            _ => (&self.target[..], self.routes.clone()),
        };
        let mut request = Message::request(method, uri).with("Max-Forwards", "70");
        for route in &routes {
            request = request.with("Route", route);
        }
        let request = request
            .with("From", &self.local)
            .with("To", &self.remote)
            .with("Call-ID", &self.call_id)
            .with("CSeq", format!("{number} {method}"))
            .with("Contact", format!("<{contact}>"));
        if self.authorises && method != "ACK" { request.with("Proxy-Authorization", "Digest x") } else { request }
    }

    /// Where its requests go.
    pub(crate) fn next_hop(&self) -> &str {
        self.routes.first().map_or(&self.target, |route| uri_of(route))
    }

    /// What was offered holds, as the other one answered.
    pub(crate) fn agree(&mut self, lines: Vec<Line>, told: Vec<Told>) {
        (self.lines, self.told) = (lines, told);
        for (line, told) in self.lines.iter_mut().zip(&mut self.told) {
            // Where only one of them wants it, it is not (RFC 5761 §5.1.1).
            let mux = line.mux && told.mux;
            (line.mux, told.mux) = (mux, mux);
            if !told.is_open() {
                line.port = 0;
            }
        }
    }

    /// Whether a received request is of this dialog.
    pub(crate) fn is_of_request(&self, message: &Message) -> bool {
        self.has(message, message.value("To"), message.value("From"))
    }

    /// Whether a response, or a request of one's own, is of this dialog.
    pub(crate) fn is_of_own(&self, message: &Message) -> bool {
        self.has(message, message.value("From"), message.value("To"))
    }

    fn has(&self, message: &Message, local: &str, remote: &str) -> bool {
        message.value("Call-ID") == self.call_id && same_tag(local, &self.local) && same_tag(remote, &self.remote)
    }
}

/// Whether the `lr` of a loose router is there.
pub(crate) fn is_loose(route: &str) -> bool {
    uri_of(route).split(';').any(|parameter| parameter == "lr")
}

pub(crate) fn tag(value: &str) -> Option<&str> {
    crate::uri::parameter(value, "tag")
}

fn same_tag(one: &str, other: &str) -> bool {
    tag(one) == tag(other)
}
