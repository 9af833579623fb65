//! Who is there: the phones, provider and strangers of the manual, and who calls whom.

use std::net::SocketAddr;

use sipproxy64::cli::values;
use sipproxy64::config::{Config, Key, LatchMode, Map, PortRange};
use sipproxy64::family::Family;

use crate::agent::{Agent, Character};
use crate::description::Style;
use crate::network::Nat;
use crate::random::Random;

const LISTEN4: &str = "192.0.2.1:5060";
const LISTEN6: &str = "[2001:db8::1]:5060";

/// Addresses, and what stands for them where the families have changed places.
const MIRROR: [(&str, &str); 19] = [
    ("[2001:DB8:456:0::21]", "198.51.100.21"),
    ("[2001:db8:456::21]", "198.51.100.21"),
    ("[2001:db8:456::20]", "198.51.100.20"),
    ("[2001:db8:456::12]", "198.51.100.12"),
    ("[2001:db8::101]", "192.0.2.201"),
    ("[2001:db8::102]", "192.0.2.202"),
    ("[2001:db8::103]", "192.0.2.203"),
    ("[2001:db8::199]", "192.0.2.219"),
    ("[2001:db8:9::55]", "203.0.113.55"),
    ("[2001:db8:6::7]", "192.0.2.77"),
    ("198.51.100.77", "[2001:db8:77::77]"),
    ("198.51.100.4", "[2001:db8:4::4]"),
    ("203.0.113.9", "[2001:db8:9::9]"),
    ("192.0.2.101", "[2001:db8:c::101]"),
    ("192.0.2.102", "[2001:db8:c::102]"),
    ("192.0.2.103", "[2001:db8:c::103]"),
    ("192.0.2.199", "[2001:db8:c::199]"),
    ("192.0.2.207", "[2001:db8::207]"),
    ("10.0.0.5", "[fd00::5]"),
];

/// The picture of the manual, or its mirror image: the phones and those without a map
/// are on the IPv4 side and the uplink on the IPv6 side, or the other way round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cast {
    pub(crate) is_mirrored: bool,
    pub(crate) latch: LatchMode,
}

impl Cast {
    /// A text with its addresses as they are here.
    fn of(&self, text: &str) -> String {
        if !self.is_mirrored {
            return text.to_owned();
        }
        let listen = [("192.0.2.1", "[2001:db8::1]"), ("[2001:db8::1]", "192.0.2.1")];
        let (mut rest, mut out) = (text, String::new());
        while let Some(letter) = rest.chars().next() {
            let mut known = MIRROR.iter().copied().chain(listen);
            let letter = &rest[..letter.len_utf8()];
            let (from, to) = known.find(|(from, _)| rest.starts_with(from)).unwrap_or((letter, letter));
            out.push_str(to);
            rest = &rest[from.len()..];
        }
        out
    }

    fn at(&self, text: &str) -> SocketAddr {
        self.of(text).parse().unwrap()
    }

    pub(crate) fn uplink(&self) -> SocketAddr {
        self.at("[2001:db8:456::12]:5060")
    }

    /// The phone's own address and that outside of its NAT.
    pub(crate) fn nat(&self) -> Nat {
        Nat::new(self.at("10.0.0.5:1").ip(), self.at("203.0.113.9:1").ip())
    }

    fn map(&self, phone: &str, fake: &str) -> Map {
        Map { phone: self.at(phone), fake: self.at(fake) }
    }

    pub(crate) fn config(&self) -> Config {
        let mut config = Config::new(LISTEN4.parse().unwrap(), LISTEN6.parse().unwrap());
        let uplink = self.uplink();
        let written = if uplink.is_ipv4() { values::uplink4 } else { values::uplink6 };
        config.uplinks[Family::of(uplink.ip())] = Some(written(&uplink.ip().to_string()).unwrap());
        config.maps = vec![
            self.map("192.0.2.101:5060", "[2001:db8::101]:5060"),
            self.map("192.0.2.102:5060", "[2001:db8::102]:5060"),
            self.map("192.0.2.103:5064", "[2001:db8::103]:5060"),
            self.map("[2001:db8:6::7]:5060", "192.0.2.207:5060"),
        ];
        config.rtp_ports = PortRange::new(16384, 20000).unwrap();
        config.key = Key([9; 16]);
        config.latch = self.latch;
        config
    }

    /// A map that comes and goes; nobody is there.
    pub(crate) fn another_map(&self) -> Map {
        self.map("192.0.2.199:5060", "[2001:db8::199]:5060")
    }

    fn character(&self, name: &'static str, sip: &str, outbound: Option<&str>, contact: &str) -> Character {
        let sip = self.at(sip);
        let (media_level, mux, names_rtcp, old_hold) = Default::default();
        let style = Style { address: sip.ip(), media_level, mux, names_rtcp, old_hold, moves: name != "nat" };
        let outbound = outbound.map(|outbound| self.at(outbound));
        let address = format!("sip:{name}@provider.example");
        Character { name, sip, outbound, address, contact: self.of(contact), style, modern: true }
    }

    /// Phones one, two, three (IPv4) and quinn (IPv6); nat and roam, without a map, the one
    /// behind a NAT; carol and dave, at the provider; bob and yan, strangers.
    pub(crate) fn agents(&self, random: &mut Random) -> Vec<Agent> {
        let (listen4, listen6, provider) = (Some(LISTEN4), Some(LISTEN6), Some("[2001:db8:456::12]:5060"));
        let mut all = [
            self.character("one", "192.0.2.101:5060", listen4, "sip:one@192.0.2.101"),
            self.character("two", "192.0.2.102:5060", listen4, "sip:two@192.0.2.102:5060;ob"),
            self.character("three", "192.0.2.103:5064", listen4, "sip:three@192.0.2.103:5064;transport=udp"),
            self.character("nat", "10.0.0.5:5060", listen4, "sip:nat@10.0.0.5:5060;line=ab12"),
            self.character("roam", "198.51.100.77:5062", listen4, "sip:roam@198.51.100.77:5062"),
            self.character("carol", "[2001:db8:456::20]:5060", provider, "sip:carol@[2001:db8:456::20]:5060"),
            self.character("dave", "[2001:db8:456::21]:5066", provider, "sip:dave@[2001:DB8:456:0::21]:5066;x=y"),
            self.character("bob", "[2001:db8:9::55]:5062", None, "sip:bob@[2001:db8:9::55]:5062"),
            self.character("quinn", "[2001:db8:6::7]:5060", listen6, "sip:quinn@[2001:db8:6::7]"),
            self.character("yan", "198.51.100.4:5060", None, "sip:yan@198.51.100.4"),
        ];
        for character in &mut all {
            let style = &mut character.style;
            (style.media_level, style.mux) = (random.percent(30), random.percent(20));
            (style.names_rtcp, style.old_hold) = (random.percent(20), random.percent(20));
            character.modern = random.percent(70);
            if matches!(character.name, "bob" | "quinn" | "yan") {
                character.address.clone_from(&character.contact);
            }
        }
        all.map(|character| Agent::new(character, random.next())).into()
    }

    /// Who calls, and what. Nobody calls himself, alone or among others who are hunted.
    pub(crate) fn call(&self, random: &mut Random, hunted: &[&str]) -> (&'static str, String) {
        let users = ["one", "two", "three", "nat", "roam", "carol", "dave"];
        let numeric = [
            ("one", "sip:bob@[2001:db8:9::55]:5062"),
            ("three", "sip:bob@[2001:db8:9::55]:5062"),
            ("two", "sip:yan@198.51.100.4"),
            ("one", "sip:two@192.0.2.102"),
            ("three", "sip:two@192.0.2.102"),
            ("two", "sip:three@192.0.2.103:5064"),
            ("one", "sip:quinn@192.0.2.207"),
            ("two", "sip:quinn@[2001:db8:6::7]"),
            ("bob", "sip:one@[2001:db8::101]"),
            ("bob", "sip:three@[2001:db8::103]"),
            ("carol", "sip:two@[2001:db8::102]"),
            ("quinn", "sip:yan@198.51.100.4"),
            ("quinn", "sip:one@192.0.2.101"),
            ("yan", "sip:quinn@192.0.2.207"),
        ];
        if random.percent(50) {
            let (caller, uri) = random.pick(&numeric);
            return (caller, self.of(uri));
        }
        let caller = random.pick(&users);
        let callee = if random.percent(30) { "hunt" } else { random.pick(&users) };
        if callee == caller || (callee == "hunt" && hunted.contains(&caller)) {
            return ("bob", self.of("sip:two@[2001:db8::102]"));
        }
        (caller, format!("sip:{callee}@provider.example"))
    }
}

/// Who is called at once under one name.
pub(crate) fn hunt(random: &mut Random) -> Vec<&'static str> {
    let groups: [&[&str]; 5] =
        [&["carol", "dave"], &["one", "two"], &["one", "carol"], &["roam", "nat", "three"], &["two", "dave", "three"]];
    random.pick(&groups).to_vec()
}
