//! The values of the options, one function for each kind.

#![allow(clippy::missing_errors_doc, reason = "what does not do is what the option is not")]

use std::ffi::OsStr;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::arguments::Unfit;
use crate::config::{LatchMode, Map, Name, PortRange, Uplink, UplinkHost, listen_option, uplink_option};
use crate::endpoint::{Endpoint, EndpointError, Host, parse_port};
use crate::family::{Family, is_unicast};
use crate::hep::HEP_PORT;
use crate::logging::{Destination, Form};
use crate::metrics::{ServerAddress, ServerAddressError};
use crate::process::{Account, AccountError};

/// A quarter of the time between two packets of a call; more is heard.
const MAX_BATCH: u64 = 5000;

/// The longest timeout, a week: beyond it a slip of the pen is more likely than a wish.
const MAX_TIMEOUT: u64 = 7 * 24 * 3600;

/// Why a value does not do, and what would. The option and the value stand
/// before it in the line that the user sees.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// No address and no name.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// An address where one of the other family is wanted.
    #[error("an {0} address; {1} is the option for it")]
    OtherFamily(Family, &'static str),
    /// A name where only an address can be bound.
    #[error("not an {0} address; write one of this machine, for example {1}")]
    NotAddress(Family, &'static str),
    /// An address that packets cannot be sent to.
    #[error("not the address of one host: it is multicast, broadcast, unspecified or reserved")]
    NotUnicast,
    /// A map without '='.
    #[error("missing '='; write PHONE=FAKE, for example {0}")]
    NoEquals(String),
    /// A map with several '='.
    #[error("more than one '='; write one PHONE=FAKE here, and a map of its own for each phone")]
    ManyEquals,
    /// One half of a map.
    #[error("{half} '{text}': {why}")]
    Half {
        /// `phone` or `fake`.
        half: &'static str,
        /// What was written.
        text: String,
        /// What is wrong with it.
        why: Box<Self>,
    },
    /// A name in a map.
    #[error("a name; write the IPv4 or IPv6 address, as no name is looked up here")]
    NameInMap,
    /// An address for `--name`.
    #[error("an address; --name takes a host name, as the addresses of the other options are known anyway")]
    AddressAsName,
    /// No name for `--name`.
    #[error("no valid host name; write one, for example proxy.example.org")]
    NotName,
    /// The port of a collector.
    #[error("'{0}' is no port; write a number from 1 to 65535, or leave it out for {HEP_PORT}")]
    CollectorPort(String),
    /// A port range without '-'.
    #[error("missing '-'; write LOW-HIGH, for example 16384-32767")]
    NoRange,
    /// One end of a port range.
    #[error("'{0}' is no port; write LOW-HIGH, for example 16384-32767")]
    RangeEnd(String),
    /// A port range upside down.
    #[error("the first port is above the second; write {0}-{1}")]
    RangeOrder(u16, u16),
    /// A port range of the system.
    #[error("ports below 1024 belong to the system; write LOW-HIGH, for example 16384-32767")]
    RangeLow,
    /// A port range without a pair.
    #[error("no even port with the odd one above it in there; each stream needs such a pair")]
    RangePair,
    /// A number out of its bounds.
    #[error("write {0}")]
    Number(&'static str),
    /// None of the words.
    #[error("write one of {0}")]
    Word(&'static str),
}

/// Reads a value into its place.
pub(super) fn put<T, E: Display>(
    place: &mut Option<T>,
    read: fn(&str) -> Result<T, E>,
    value: &OsStr,
) -> Result<(), Unfit> {
    *place = Some(one(read, value)?);
    Ok(())
}

/// Reads one of many values behind the others.
pub(super) fn push<T, E: Display>(
    places: &mut Vec<T>,
    read: fn(&str) -> Result<T, E>,
    value: &OsStr,
) -> Result<(), Unfit> {
    places.push(one(read, value)?);
    Ok(())
}

fn one<T, E: Display>(read: fn(&str) -> Result<T, E>, value: &OsStr) -> Result<T, Unfit> {
    read(value.to_str().ok_or(Unfit::NotText)?).map_err(|error| Unfit::Why(error.to_string()))
}

/// Takes in a path.
pub(crate) fn path(place: &mut Option<PathBuf>, value: &OsStr) -> Result<(), Unfit> {
    *place = Some(one_path(value)?);
    Ok(())
}

/// A path may be any bytes, but for none.
pub(super) fn one_path(value: &OsStr) -> Result<PathBuf, Unfit> {
    if value.is_empty() { Err(Unfit::Empty) } else { Ok(value.into()) }
}

/// Takes in an option without a value.
pub(crate) fn flag(place: &mut bool) -> Result<(), Unfit> {
    *place = true;
    Ok(())
}

/// `--listen4`
pub fn listen4(text: &str) -> Result<SocketAddr, ValueError> {
    listen(text, Family::V4)
}

/// `--listen6`
pub fn listen6(text: &str) -> Result<SocketAddr, ValueError> {
    listen(text, Family::V6)
}

fn listen(text: &str, family: Family) -> Result<SocketAddr, ValueError> {
    let example = match family {
        Family::V4 => "192.0.2.1",
        Family::V6 => "2001:db8::1",
    };
    let address = match Endpoint::parse(text) {
        Ok(endpoint) => endpoint.socket_address(),
        Err(EndpointError::Empty | EndpointError::Host | EndpointError::Ipv6) => None,
        Err(error) => return Err(error.into()),
    };
    let address = unicast(address.ok_or(ValueError::NotAddress(family, example))?)?;
    of_family(address.ip(), family, listen_option(family.other()))?;
    Ok(address)
}

/// `--uplink4`
pub fn uplink4(text: &str) -> Result<Uplink, ValueError> {
    uplink(text, Family::V4)
}

/// `--uplink6`
pub fn uplink6(text: &str) -> Result<Uplink, ValueError> {
    uplink(text, Family::V6)
}

fn uplink(text: &str, family: Family) -> Result<Uplink, ValueError> {
    let endpoint = Endpoint::parse(text)?;
    if let Some(address) = endpoint.socket_address() {
        of_family(unicast(address)?.ip(), family, uplink_option(family.other()))?;
    }
    // In a URI an IPv6 address has brackets (RFC 3261 §25.1, IPv6reference).
    let bare_ipv6 = matches!(endpoint.host, Host::Address(IpAddr::V6(_))) && !text.starts_with('[');
    let written = if bare_ipv6 { format!("[{text}]") } else { text.to_owned() };
    let port = endpoint.port_or_default();
    let host = match endpoint.host {
        Host::Address(address) => UplinkHost::Address(address),
        Host::Name(name) => UplinkHost::Name(name),
    };
    Ok(Uplink { host, port, written })
}

fn of_family(address: IpAddr, family: Family, other_option: &'static str) -> Result<(), ValueError> {
    let is = Family::of(address);
    if is == family { Ok(()) } else { Err(ValueError::OtherFamily(is, other_option)) }
}

fn unicast(address: SocketAddr) -> Result<SocketAddr, ValueError> {
    if is_unicast(address.ip()) { Ok(address) } else { Err(ValueError::NotUnicast) }
}

/// `--map`
pub fn map(text: &str) -> Result<Map, ValueError> {
    let Some((phone, fake)) = text.split_once('=') else {
        return Err(ValueError::NoEquals(map_example(text)));
    };
    if fake.contains('=') {
        return Err(ValueError::ManyEquals);
    }
    // A configuration file may have spaces around the '='.
    Ok(Map { phone: half("phone", phone.trim_end())?, fake: half("fake", fake.trim_start())? })
}

/// What somebody who wrote only the phone may have meant.
fn map_example(phone: &str) -> String {
    match Endpoint::parse(phone).ok().and_then(|endpoint| endpoint.socket_address()) {
        Some(SocketAddr::V4(_)) => format!("{phone}=2001:db8::101"),
        Some(SocketAddr::V6(_)) => format!("{phone}=192.0.2.201"),
        None => "192.0.2.101=2001:db8::101".to_owned(),
    }
}

fn half(half: &'static str, text: &str) -> Result<SocketAddr, ValueError> {
    let address = || unicast(Endpoint::parse(text)?.socket_address().ok_or(ValueError::NameInMap)?);
    address().map_err(|why| ValueError::Half { half, text: text.to_owned(), why: Box::new(why) })
}

/// `--name`
pub fn name(text: &str) -> Result<Name, ValueError> {
    let endpoint = Endpoint::parse(text).map_err(|error| match error {
        EndpointError::Empty | EndpointError::Host => ValueError::NotName,
        error => error.into(),
    })?;
    let port = endpoint.port_or_default();
    match endpoint.host {
        Host::Address(_) => Err(ValueError::AddressAsName),
        Host::Name(name) => Ok(Name { host: name.trim_end_matches('.').to_ascii_lowercase(), port }),
    }
}

/// `--rtp-ports`
pub fn port_range(text: &str) -> Result<PortRange, ValueError> {
    let (low, high) = text.split_once('-').ok_or(ValueError::NoRange)?;
    let end = |text: &str| parse_port(text).map_err(|_| ValueError::RangeEnd(text.to_owned()));
    let (low, high) = (end(low)?, end(high)?);
    if low > high {
        return Err(ValueError::RangeOrder(high, low));
    }
    if low < 1024 {
        return Err(ValueError::RangeLow);
    }
    PortRange::new(low, high).ok_or(ValueError::RangePair)
}

/// `--rtp-timeout`, `--ringing-timeout`, `--hold-timeout`
pub fn seconds(text: &str) -> Result<Duration, ValueError> {
    let seconds = number(text).filter(|seconds| (1..=MAX_TIMEOUT).contains(seconds));
    seconds.map(Duration::from_secs).ok_or(ValueError::Number("seconds, from 1 to 604800 (a week)"))
}

/// `--max-calls`, `--max-calls-per-source`
pub fn count(text: &str) -> Result<usize, ValueError> {
    let count = number(text).and_then(|count| usize::try_from(count).ok()).filter(|&count| count > 0);
    count.ok_or(ValueError::Number("a number of calls, 1 or more"))
}

/// `--dscp`
pub fn dscp(text: &str) -> Result<u8, ValueError> {
    let code = number(text).and_then(|code| u8::try_from(code).ok()).filter(|&code| code < 64);
    code.ok_or(ValueError::Number("a code point from 0 to 63, for example 46 for expedited forwarding"))
}

/// `--batch-us`
pub fn batch(text: &str) -> Result<Duration, ValueError> {
    let microseconds = number(text).filter(|&microseconds| microseconds <= MAX_BATCH);
    microseconds.map(Duration::from_micros).ok_or(ValueError::Number("microseconds, from 0 (off) to 5000"))
}

/// `--hep`
pub fn hep(text: &str) -> Result<Endpoint, ValueError> {
    let endpoint = Endpoint::parse(text).map_err(|error| match error {
        EndpointError::NoPort => ValueError::CollectorPort(String::new()),
        EndpointError::Port(port) => ValueError::CollectorPort(port),
        error => error.into(),
    })?;
    let address = match endpoint.host {
        Host::Address(address) => Some(SocketAddr::new(address, HEP_PORT)),
        Host::Name(_) => None,
    };
    address.map_or(Ok(()), |address| unicast(address).map(drop))?;
    Ok(endpoint)
}

/// `--hep-id`
pub fn hep_id(text: &str) -> Result<u32, ValueError> {
    let id = number(text).and_then(|id| u32::try_from(id).ok());
    id.ok_or(ValueError::Number("a number from 0 to 4294967295"))
}

/// `--pcap-size`, in bytes
pub fn megabytes(text: &str) -> Result<u64, ValueError> {
    let megabytes = number(text).filter(|megabytes| (1..=1_000_000).contains(megabytes));
    megabytes.map(|megabytes| megabytes * 1_000_000).ok_or(ValueError::Number("megabytes, from 1 to 1000000"))
}

/// Decimal digits and nothing else.
fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// `--user`
pub fn account(text: &str) -> Result<Account, AccountError> {
    Account::parse(text)
}

/// `--latch`
pub fn latch(text: &str) -> Result<LatchMode, ValueError> {
    match text {
        "signalled" => Ok(LatchMode::Signalled),
        "first" => Ok(LatchMode::First),
        "off" => Ok(LatchMode::Off),
        _ => Err(ValueError::Word("signalled, first, off")),
    }
}

/// `--log`
pub fn destination(text: &str) -> Result<Destination, ValueError> {
    match text {
        "stderr" => Ok(Destination::Stderr),
        "syslog" => Ok(Destination::Syslog),
        _ => Err(ValueError::Word("stderr, syslog")),
    }
}

/// What a log line looks like.
///
/// # Errors
/// Another word.
pub fn form(text: &str) -> Result<Form, ValueError> {
    match text {
        "text" => Ok(Form::Text),
        "json" => Ok(Form::Json),
        _ => Err(ValueError::Word("text, json")),
    }
}

/// Where the web server listens.
///
/// # Errors
/// No address, or one that others reach without the word for it.
pub fn metrics(text: &str) -> Result<ServerAddress, ServerAddressError> {
    text.parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_uplink_is_written_as_in_a_uri() {
        for (text, port, written) in [
            ("192.0.2.9", 5060, "192.0.2.9"),
            ("192.0.2.9:5060", 5060, "192.0.2.9:5060"),
            ("PBX.example:5070", 5070, "PBX.example:5070"),
        ] {
            let uplink = uplink4(text).unwrap();
            assert_eq!((uplink.port, uplink.written.as_str()), (port, written));
        }
        for (text, port, written) in [
            ("2001:db8::9", 5060, "[2001:db8::9]"),
            ("[2001:db8::9]", 5060, "[2001:db8::9]"),
            ("[2001:DB8::9]:5070", 5070, "[2001:DB8::9]:5070"),
        ] {
            let uplink = uplink6(text).unwrap();
            assert_eq!((uplink.port, uplink.written.as_str()), (port, written));
        }
    }

    #[test]
    fn a_map_takes_either_family_on_the_left() {
        let there = map("192.0.2.101:5070=[2001:db8::101]:5064").unwrap();
        assert_eq!(there.to_string(), "192.0.2.101:5070=[2001:db8::101]:5064");
        assert_eq!(map("2001:db8:6::7=192.0.2.207").unwrap().to_string(), "2001:db8:6::7=192.0.2.207");
    }

    #[test]
    fn what_a_map_lacks_is_shown_with_its_own_address() {
        assert_eq!(map("192.0.2.7"), Err(ValueError::NoEquals("192.0.2.7=2001:db8::101".to_owned())));
        assert_eq!(map("2001:db8::7"), Err(ValueError::NoEquals("2001:db8::7=192.0.2.201".to_owned())));
    }

    #[test]
    fn names_are_kept_in_lower_case() {
        assert_eq!(name("Proxy.Example."), Ok(Name { host: "proxy.example".to_owned(), port: 5060 }));
        assert_eq!(name("proxy.example:5070"), Ok(Name { host: "proxy.example".to_owned(), port: 5070 }));
        assert_eq!(name("192.0.2.1"), Err(ValueError::AddressAsName));
    }

    #[test]
    fn a_week_is_the_longest_timeout() {
        assert_eq!(seconds("604800"), Ok(Duration::from_secs(604_800)));
        for bad in ["0", "604801", "", "-1", "+1", "1.5", "60s"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
