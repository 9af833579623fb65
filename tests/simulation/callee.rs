//! How a user agent is called, and what it answers within dialogs (RFC 3261 §13.3, §12.2.2).

use std::net::SocketAddr;
use std::time::Duration;

use crate::agent::Agent;
use crate::checks::user;
use crate::description::{Told, read};
use crate::dialog::{Dialog, Offer, State, tag};
use crate::message::Message;
use crate::transaction::{Resend, Server, branch};
use crate::uri::uri_of;

/// What it says before its final response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Early {
    Nothing,
    Rings,
    /// A 183 with a description.
    Progress,
    /// The same, reliably (RFC 3262).
    Reliable,
}

/// What it is going to do with a call that came in.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    dialog: usize,
    server: usize,
    early: Option<(Duration, Early)>,
    end: Option<Duration>,
    status: u16,
    offered: Option<Vec<Told>>,
    /// Its description, once it has sent it.
    described: Option<String>,
    is_reliable: bool,
}

impl Plan {
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.early.map(|(at, _)| at).into_iter().chain(self.end).min()
    }
}

impl Agent {
    pub(crate) fn request(&mut self, now: Duration, from: SocketAddr, message: &Message) {
        let method = message.method().unwrap_or_default();
        if method == "ACK" {
            return self.ack(message);
        }
        let known = |server: &Server| {
            server.branch == branch(message) && server.request.method() == Some(method) && server.from == from
        };
        if let Some(index) = self.servers.iter().position(known) {
            return self.repeat(index);
        }
        let (branch, request) = (branch(message).to_owned(), message.clone());
        self.servers.push(Server { branch, request, from, last: None, resend: None });
        let server = self.servers.len() - 1;
        match method {
            "CANCEL" => self.cancelled(now, server),
            _ if tag(message.value("To")).is_some() => self.request_within(now, server),
            "INVITE" => self.invited(now, server),
            _ => self.respond(server, 200, &[], None),
        }
    }

    /// Answers a request.
    pub(crate) fn respond(&mut self, server: usize, status: u16, extra: &[(&str, &str)], body: Option<&str>) {
        let request = &self.servers[server].request;
        let kept = |name: &str| match name {
            "Via" | "From" | "Call-ID" | "CSeq" => true,
            "Record-Route" => (101..300).contains(&status),
            _ => false,
        };
        let mut response = Message { start: format!("SIP/2.0 {status} x"), fields: Vec::new(), body: String::new() };
        response.fields = request.fields.iter().filter(|(name, _)| kept(name)).cloned().collect();
        let to = request.value("To");
        let plan = self.plans.iter().find(|plan| plan.server == server);
        let to = match plan.map(|plan| self.dialogs[plan.dialog].local.clone()) {
            Some(local) => local,
            None if tag(to).is_some() => to.to_owned(),
            None => format!("{to};tag=none{}", self.is.name),
        };
        response = response.with("To", to);
        if status < 300 {
            response = response.with("Contact", format!("<{}>", self.is.contact));
        }
        for (name, value) in extra {
            response = response.with(name, *value);
        }
        let response = match body {
            Some(body) => response.with_sdp(body.to_owned()),
            None => response.without_body(),
        };
        let from = self.servers[server].from;
        self.put(from, &response);
        self.servers[server].last = Some(response);
    }

    /// The same, again and again until its ACK or PRACK comes.
    pub(crate) fn respond_surely(
        &mut self,
        now: Duration,
        server: usize,
        status: u16,
        extra: &[(&str, &str)],
        body: Option<&str>,
    ) {
        self.respond(server, status, extra, body);
        self.servers[server].resend = Some(Resend::new(now, status >= 200));
    }

    fn invited(&mut self, now: Duration, server: usize) {
        let message = self.servers[server].request.clone();
        self.look_at_target(&message);
        let twin = self.servers[..server].iter().any(|other| {
            let same = |name| other.request.value(name) == message.value(name);
            other.is_invite() && same("Call-ID") && same("CSeq") && same("From")
        });
        if twin {
            // Merged (§8.2.2.2).
            return self.respond_surely(now, server, 482, &[], None);
        }
        let local = format!("{};tag={}", message.value("To"), self.word("u"));
        self.dialogs.push(Dialog::of_callee(&message, &local));
        let may_be_reliable = message.find("Supported") == Some("100rel") && self.is.modern;
        let early = match self.random.below(5) {
            0 => Early::Nothing,
            1 => Early::Progress,
            2 if may_be_reliable => Early::Reliable,
            _ => Early::Rings,
        };
        let at = now + self.random.millis(0, 2_000);
        let end = at + self.random.millis(0, 12_000);
        let status = if self.random.percent(15) { 486 } else { 200 };
        let offered = (!message.body.is_empty()).then(|| read(&message.body));
        let dialog = self.dialogs.len() - 1;
        let early = (early != Early::Nothing).then_some((at, early));
        let plan = Plan { dialog, server, early, end: Some(end), status, offered, described: None, is_reliable: false };
        self.plans.push(plan);
    }

    /// A request outside of dialogs is for whom it reaches.
    fn look_at_target(&mut self, message: &Message) {
        if user(message.request_uri()) != user(&self.is.contact) {
            self.complain("gets a call for another user", message);
        }
    }

    pub(crate) fn follow_plan(&mut self, now: Duration, index: usize) {
        let Plan { dialog, server, early, end, status, is_reliable, .. } = self.plans[index].clone();
        if let Some((_, early)) = early.filter(|(at, _)| *at <= now) {
            self.plans[index].early = None;
            match early {
                Early::Reliable => {
                    let body = self.describe_in_plan(index);
                    self.plans[index].is_reliable = true;
                    self.respond_surely(now, server, 183, &[("Require", "100rel"), ("RSeq", "77")], Some(&body));
                }
                Early::Progress if self.plans[index].offered.is_some() => {
                    let body = self.describe_in_plan(index);
                    self.respond(server, 183, &[], Some(&body));
                }
                _ => self.respond(server, 180, &[], None),
            }
        }
        if end.is_none_or(|end| end > now) {
            return;
        }
        if is_reliable && !self.dialogs[dialog].acknowledged_reliable {
            // Not before the PRACK (RFC 3262 §3); it comes, or 64*T1 are over.
            self.plans[index].end = Some(now + Duration::from_millis(500));
            return;
        }
        self.plans[index].end = None;
        if status >= 300 {
            self.dialogs[dialog].state = State::Over;
            return self.respond_surely(now, server, status, &[], None);
        }
        let body = if is_reliable { None } else { Some(self.describe_in_plan(index)) };
        self.dialogs[dialog].state = State::Confirmed;
        self.respond_surely(now, server, status, &[], body.as_deref());
    }

    /// Its answer, or its offer where none came.
    fn describe_in_plan(&mut self, index: usize) -> String {
        let Plan { dialog, offered, described, .. } = self.plans[index].clone();
        if let Some(described) = described {
            return described;
        }
        let lines = match offered {
            Some(told) => {
                let lines = self.answer_lines(dialog, &told);
                self.dialogs[dialog].agree(lines.clone(), told);
                lines
            }
            None => {
                let call_id = self.dialogs[dialog].call_id.clone();
                let lines = self.first_lines(&call_id);
                let cseq = self.dialogs[dialog].initial;
                self.dialogs[dialog].offer = Some(Offer { lines: lines.clone(), cseq });
                lines
            }
        };
        let body = self.is.style.write(self.is.name, self.dialogs[dialog].version, &lines);
        self.plans[index].described = Some(body.clone());
        body
    }

    fn cancelled(&mut self, now: Duration, cancel: usize) {
        let wanted = self.servers[cancel].branch.clone();
        let invite = self.servers.iter().position(|server| server.is_invite() && server.branch == wanted);
        let Some(invite) = invite else { return self.respond(cancel, 481, &[], None) };
        self.respond(cancel, 200, &[], None);
        if self.servers[invite].status() < 200 {
            self.terminate(now, invite);
        }
    }

    /// Ends an INVITE that is not answered yet.
    fn terminate(&mut self, now: Duration, invite: usize) {
        self.respond_surely(now, invite, 487, &[], None);
        for plan in self.plans.iter_mut().filter(|plan| plan.server == invite) {
            (plan.early, plan.end) = (None, None);
            let dialog = &mut self.dialogs[plan.dialog];
            (dialog.state, dialog.offer) = (State::Over, None);
        }
    }

    fn ack(&mut self, message: &Message) {
        let cseq = message.cseq().0;
        if let Some(server) =
            self.servers.iter_mut().find(|server| server.is_invite() && server.branch == branch(message))
        {
            if server.status() >= 300 {
                server.resend = None;
            }
            return;
        }
        let Some(index) = self.dialogs.iter().position(|dialog| dialog.is_of_request(message)) else {
            return self.complain("gets an ACK of no dialog", message);
        };
        self.look_at_request(index, message);
        let dialog = &mut self.dialogs[index];
        for server in &mut self.servers {
            let of_it = server.is_invite() && server.request.cseq().0 == cseq;
            if of_it && dialog.call_id == server.request.value("Call-ID") && (200..300).contains(&server.status()) {
                server.resend = None;
            }
        }
        dialog.acknowledged |= cseq == dialog.initial;
        if let Some(offer) = dialog.offer.take_if(|offer| offer.cseq == cseq && !message.body.is_empty()) {
            dialog.agree(offer.lines, read(&message.body));
        }
    }

    /// What comes within a dialog is addressed as this side wrote it.
    fn look_at_request(&mut self, index: usize, message: &Message) {
        let Dialog { local, remote, .. } = self.dialogs[index].clone();
        let expected = [
            (message.request_uri(), self.is.contact.clone()),
            (message.value("To"), local),
            (message.value("From"), remote),
        ];
        for (got, wanted) in expected {
            if got != wanted {
                self.complain(format!("sees {got} where it is {wanted}"), message);
            }
        }
        if let Some(route) = message.find("Route") {
            self.complain(format!("sees the Route {route}"), message);
        }
    }

    fn request_within(&mut self, now: Duration, server: usize) {
        let message = self.servers[server].request.clone();
        let method = message.method().unwrap_or_default();
        let Some(index) = self.dialogs.iter().position(|dialog| dialog.is_of_request(&message)) else {
            if !self.attempts.iter().any(|attempt| attempt.call_id == message.value("Call-ID")) {
                self.complain("gets a request of no call", &message);
            }
            return self.refuse(now, server, 481);
        };
        self.look_at_request(index, &message);
        let dialog = &mut self.dialogs[index];
        let cseq = message.cseq().0;
        if dialog.state == State::Over {
            return self.refuse(now, server, 481);
        }
        if cseq < dialog.remote_sequence {
            return self.refuse(now, server, 500);
        }
        dialog.remote_sequence = cseq;
        match method {
            "BYE" => {
                (dialog.state, dialog.offer) = (State::Over, None);
                self.respond(server, 200, &[], None);
                let plan = self.plans.iter().find(|plan| plan.dialog == index);
                if let Some(invite) = plan.map(|plan| plan.server).filter(|&invite| self.servers[invite].status() < 200)
                {
                    self.terminate(now, invite);
                }
            }
            "PRACK" => self.prack(server, index),
            "INVITE" => self.reinvited(now, server, index),
            "UPDATE" => self.updated(server, index),
            "REFER" => {
                self.referred.push(uri_of(message.value("Refer-To")).to_owned());
                self.respond(server, 202, &[], None);
            }
            _ => self.respond(server, 200, &[], None),
        }
    }

    pub(crate) fn refuse(&mut self, now: Duration, server: usize, status: u16) {
        if self.servers[server].is_invite() {
            self.respond_surely(now, server, status, &[], None);
        } else {
            self.respond(server, status, &[], None);
        }
    }

    fn prack(&mut self, server: usize, index: usize) {
        let body = self.servers[server].request.body.clone();
        self.dialogs[index].acknowledged_reliable = true;
        if let Some(plan) = self.plans.iter().find(|plan| plan.dialog == index)
            && self.servers[plan.server].status() < 200
        {
            self.servers[plan.server].resend = None;
        }
        if body.is_empty() {
            return self.respond(server, 200, &[], None);
        }
        if let Some(offer) = self.dialogs[index].offer.take() {
            self.dialogs[index].agree(offer.lines, read(&body));
            return self.respond(server, 200, &[], None);
        }
        let answer = self.answer(index, &body);
        self.respond(server, 200, &[], Some(&answer));
    }

    /// Somebody answers a 2xx with nothing: the call is over (§13.3.1.4).
    pub(crate) fn not_acknowledged(&mut self, now: Duration, server: usize) {
        let request = self.servers[server].request.clone();
        if !self.servers[server].is_invite() || self.servers[server].status() >= 300 {
            return;
        }
        if self.servers[server].status() < 200 {
            return self.terminate(now, server);
        }
        self.complain("waits in vain for the ACK of", &request);
        let plan = self.plans.iter().find(|plan| plan.server == server).map(|plan| plan.dialog);
        let index = plan.or_else(|| self.dialogs.iter().position(|dialog| dialog.is_of_request(&request)));
        if let Some(index) = index.filter(|&index| self.dialogs[index].state == State::Confirmed) {
            self.hang_up(now, index);
        }
    }
}
