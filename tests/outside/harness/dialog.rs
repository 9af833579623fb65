//! One party's side of a dialog (RFC 3261 §12).

use super::agent::{Agent, Received};
use super::message::Message;
use super::uri::{next_hop, uri_of};

/// What a user agent keeps of a dialog.
#[derive(Clone, Debug)]
pub struct Dialog {
    /// The Call-ID.
    pub call_id: String,
    /// From of its requests, tag included.
    pub local: String,
    /// To of its requests, tag included.
    pub remote: String,
    /// The URI in the Contact of the other side.
    pub target: String,
    /// The Contact of this side, as it writes it.
    pub contact: String,
    /// The Routes of its requests, from the top.
    pub routes: Vec<String>,
    sequence: u32,
}

impl Dialog {
    /// The caller's, from its request and the response with a To-tag (§12.1.2).
    pub fn of_caller(request: &Message, response: &Message) -> Self {
        let mut routes = response.list("Record-Route");
        routes.reverse();
        Self {
            call_id: request.value("Call-ID").to_owned(),
            local: request.value("From").to_owned(),
            remote: response.value("To").to_owned(),
            target: uri_of(response.value("Contact")).to_owned(),
            contact: request.value("Contact").to_owned(),
            routes,
            sequence: request.cseq().0,
        }
    }

    /// The callee's, from the request as it came and the response as it sends it (§12.1.1).
    pub fn of_callee(request: &Message, response: &Message) -> Self {
        Self {
            call_id: request.value("Call-ID").to_owned(),
            local: response.value("To").to_owned(),
            remote: request.value("From").to_owned(),
            target: uri_of(request.value("Contact")).to_owned(),
            contact: response.value("Contact").to_owned(),
            routes: request.list("Record-Route"),
            sequence: 100,
        }
    }

    /// A new request within the dialog (§12.2.1.1).
    pub fn request(&mut self, agent: &Agent, method: &str) -> Message {
        self.sequence += 1;
        self.numbered(agent, method, self.sequence)
    }

    /// The ACK of a 2xx (§13.2.2.4).
    pub fn ack(&self, agent: &Agent, invite: &Message) -> Message {
        self.numbered(agent, "ACK", invite.cseq().0).without_body()
    }

    fn numbered(&self, agent: &Agent, method: &str, number: u32) -> Message {
        let mut request = Message::request(method, &self.target).with("Via", agent.via()).with("Max-Forwards", "70");
        for route in &self.routes {
            request = request.with("Route", route);
        }
        request
            .with("From", &self.local)
            .with("To", &self.remote)
            .with("Call-ID", &self.call_id)
            .with("CSeq", format!("{number} {method}"))
            .with("Contact", &self.contact)
    }

    /// Sends a request to the first Route, which must be a loose router, else to the target.
    pub fn send(&self, agent: &Agent, request: &Message) {
        let hop = self.routes.first().map_or(self.target.as_str(), |route| {
            assert!(uri_of(route).split(';').any(|parameter| parameter == "lr"), "{route} is a strict router");
            uri_of(route)
        });
        agent.send_bytes(&request.to_wire(), next_hop(hop));
    }

    /// Asserts that a request belongs to this dialog as this side wrote it:
    /// mapping has left no trace in what comes back.
    pub fn assert_owns(&self, received: &Received) {
        let message = &received.message;
        assert_eq!(message.value("Call-ID"), self.call_id, "Call-ID of\n{message}");
        assert_eq!(message.value("From"), self.remote, "From of\n{message}");
        assert_eq!(message.value("To"), self.local, "To of\n{message}");
        assert_eq!(message.request_uri(), uri_of(&self.contact), "Request-URI of\n{message}");
    }
}
