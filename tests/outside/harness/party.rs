//! A user with a telephone: an agent and a media endpoint.

use super::agent::{Agent, Received, response_to};
use super::media::Media;
use super::message::{Message, unique};

/// A user with a telephone.
#[derive(Debug)]
pub struct Party {
    /// Its SIP socket.
    pub agent: Agent,
    /// Its RTP and RTCP sockets.
    pub media: Media,
    /// The user part of its URIs.
    pub user: &'static str,
    /// Its Contact as it writes it.
    pub contact: String,
}

impl Party {
    /// A user at this address with port, media at RTP port `port`.
    pub fn new(user: &'static str, address: &str, port: u16) -> Self {
        let agent = Agent::bind(user, address);
        let media = Media::bind(agent.address.ip(), port);
        let contact = format!("<sip:{user}@{}>", agent.hostport());
        Self { agent, media, user, contact }
    }

    /// A request outside of any dialog, without body.
    pub fn request(&self, method: &str, uri: &str) -> Message {
        let host = self.agent.host();
        Message::request(method, uri)
            .with("Via", self.agent.via())
            .with("Max-Forwards", "70")
            .with("From", format!("\"{0}\" <sip:{0}@{host}>;tag={1}", self.user, unique("f")))
            .with("To", format!("<{uri}>"))
            .with("Call-ID", format!("{}@{host}", unique("call")))
            .with("CSeq", format!("1 {method}"))
            .with("Contact", &self.contact)
    }

    /// An INVITE with an offer.
    pub fn invite(&self, uri: &str) -> Message {
        self.request("INVITE", uri).with_sdp(self.media.description())
    }

    /// Answers a request without a body, and gives what was sent.
    pub fn respond(&self, request: &Received, status: u16, reason: &str, to_tag: &str) -> Message {
        let mut response = response_to(&request.message, status, reason, to_tag);
        if (101..300).contains(&status) {
            response = response.with("Contact", &self.contact);
        }
        let response = response.without_body();
        self.agent.respond(request, &response);
        response
    }

    /// Answers an INVITE with 200 and a description, and gives what was sent.
    pub fn accept(&self, invite: &Received, to_tag: &str) -> Message {
        let response = response_to(&invite.message, 200, "OK", to_tag)
            .with("Contact", &self.contact)
            .with_sdp(self.media.description());
        self.agent.respond(invite, &response);
        response
    }
}
