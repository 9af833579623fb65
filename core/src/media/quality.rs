//! How well RTP arrives: loss and jitter, as RFC 3550 counts them (§6.4.1, A.3, A.8).

use std::num::NonZeroU64;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::packet::Rtp;

/// A jump of the sequence number by more than this is a new start (RFC 3550 A.1).
const MAX_DROPOUT: u16 = 3000;

/// How long timestamps are watched before a clock rate is told from them, in microseconds.
const WATCH: u32 = 2_000_000;

/// Loss and jitter of what one party sends. Each packet changes it, and it is one
/// line of the cache.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[repr(align(64))]
pub struct Quality {
    source: Option<Source>,
    /// Lost of the sources before.
    lost: u64,
    jitter: Jitter,
}

/// One run of sequence numbers.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Source {
    ssrc: u32,
    highest: u16,
    /// Sequence numbers from the first to the highest.
    expected: NonZeroU64,
    received: u64,
}

impl Source {
    fn new(rtp: Rtp) -> Self {
        Self { ssrc: rtp.ssrc, highest: rtp.sequence, expected: NonZeroU64::MIN, received: 1 }
    }

    /// Takes in one packet; `false`: it is of another run.
    fn receive(&mut self, rtp: Rtp) -> bool {
        let ahead = rtp.sequence.wrapping_sub(self.highest);
        let behind = self.highest.wrapping_sub(rtp.sequence);
        if rtp.ssrc != self.ssrc || ahead.min(behind) > MAX_DROPOUT {
            return false;
        }
        self.received = self.received.saturating_add(1);
        if ahead <= MAX_DROPOUT {
            self.expected = self.expected.saturating_add(u64::from(ahead));
            self.highest = rtp.sequence;
        }
        true
    }

    fn lost(self) -> u64 {
        self.expected.get().saturating_sub(self.received)
    }
}

impl Quality {
    /// Takes in one RTP packet.
    pub fn receive(&mut self, now: Duration, rtp: Rtp) {
        if !self.source.as_mut().is_some_and(|source| source.receive(rtp)) {
            let before = self.source.replace(Source::new(rtp));
            self.lost = self.lost.saturating_add(before.map_or(0, Source::lost));
            self.jitter.run = Run::default();
        }
        self.jitter.receive(now, rtp);
    }

    /// The next packet begins a new run: what is missing before it was never sent.
    pub fn interrupt(&mut self) {
        self.lost = self.lost();
        self.source = None;
    }

    /// Packets that never came. One that came twice makes up for one that did not.
    pub fn lost(&self) -> u64 {
        self.lost.saturating_add(self.source.map_or(0, Source::lost))
    }

    /// Interarrival jitter in milliseconds, where the clock rate is known.
    pub fn jitter(&self) -> Option<f32> {
        self.jitter.milliseconds()
    }
}

/// The estimator of RFC 3550 A.8, in microseconds instead of timestamp units,
/// as one source may change its clock rate. Whole numbers, without a division.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Jitter {
    /// Sixteen times the jitter; `None`: the clock rate was never known.
    sixteenfold: Option<u32>,
    run: Run,
}

/// Packets of one payload type in a row.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Run {
    /// The packet before.
    last: Moment,
    /// The first packet.
    start: Moment,
    /// What one step of the timestamp takes, in 2^-16 microseconds; 0: not known.
    tick: u32,
    /// `None`: no packet came yet.
    payload_type: Option<u8>,
}

/// When a packet came, by our clock and by the sender's.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Moment {
    /// In microseconds; it wraps after 71 minutes, as only differences count.
    ours: u32,
    timestamp: u32,
}

impl Jitter {
    fn receive(&mut self, now: Duration, rtp: Rtp) {
        let here = Moment { ours: microseconds(now), timestamp: rtp.timestamp };
        let run = &mut self.run;
        if run.payload_type != Some(rtp.payload_type) {
            let tick = static_clock_rate(rtp.payload_type).map_or(0, tick);
            *run = Run { last: here, tick, payload_type: Some(rtp.payload_type), start: here };
            return;
        }
        if run.tick == 0 && here.ours.wrapping_sub(run.start.ours) >= WATCH {
            run.tick = watched_clock_rate(run.start, here).map_or(0, tick);
            run.start = here;
        }
        let last = std::mem::replace(&mut run.last, here);
        if run.tick == 0 {
            return;
        }
        // Later than the packet before, by our clock and by the sender's.
        let ours = i64::from(here.ours.wrapping_sub(last.ours).cast_signed());
        let steps = i64::from(here.timestamp.wrapping_sub(last.timestamp).cast_signed());
        let theirs = steps.wrapping_mul(i64::from(run.tick)) >> 16;
        let difference = u32::try_from(ours.wrapping_sub(theirs).unsigned_abs()).unwrap_or(u32::MAX);
        let before = self.sixteenfold.unwrap_or(0);
        self.sixteenfold = Some((before - (before.saturating_add(8) >> 4).min(before)).saturating_add(difference));
    }

    fn milliseconds(self) -> Option<f32> {
        self.sixteenfold.map(|sixteenfold| sixteenfold as f32 / 16_000.0)
    }
}

/// The last 32 bits of a time in microseconds.
#[allow(clippy::cast_possible_truncation, reason = "it is meant")]
fn microseconds(time: Duration) -> u32 {
    (time.as_secs() as u32).wrapping_mul(1_000_000).wrapping_add(time.subsec_micros())
}

/// What one step of a clock takes, in 2^-16 microseconds.
fn tick(clock_rate: u32) -> u32 {
    u32::try_from((1_000_000 << 16) / u64::from(clock_rate.max(1))).unwrap_or(0)
}

/// The clock rate of a static payload type (RFC 3551 §6).
fn static_clock_rate(payload_type: u8) -> Option<u32> {
    match payload_type {
        6 => Some(16_000),
        10 | 11 => Some(44_100),
        16 => Some(11_025),
        17 => Some(22_050),
        14 | 25 | 26 | 28 | 31..=34 => Some(90_000),
        0 | 3..=5 | 7..=9 | 12 | 13 | 15 | 18 => Some(8_000),
        _ => None,
    }
}

/// The usual clock rate that timestamps have followed between two packets.
fn watched_clock_rate(start: Moment, end: Moment) -> Option<u32> {
    let seconds = f64::from(end.ours.wrapping_sub(start.ours)) / 1e6;
    let rate = f64::from(end.timestamp.wrapping_sub(start.timestamp)) / seconds;
    let usual = [8_000, 16_000, 24_000, 32_000, 44_100, 48_000, 90_000];
    // 44.1 and 48 kHz are less than a tenth apart.
    usual.into_iter().find(|&usual| (rate / f64::from(usual) - 1.0).abs() < 0.04)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rtp(sequence: u16, timestamp: u32) -> Rtp {
        Rtp { ssrc: 1, sequence, timestamp, payload_type: 0 }
    }

    fn arrive(quality: &mut Quality, sequences: impl IntoIterator<Item = u16>) {
        for sequence in sequences {
            quality.receive(Duration::ZERO, rtp(sequence, 0));
        }
    }

    #[test]
    fn a_gap_is_loss_and_disorder_is_none() {
        let mut quality = Quality::default();
        arrive(&mut quality, [10, 11, 13, 12, 14]);
        assert_eq!(quality.lost(), 0);
        arrive(&mut quality, [18]);
        assert_eq!(quality.lost(), 3);
    }

    #[test]
    fn sequence_numbers_wrap() {
        let mut quality = Quality::default();
        arrive(&mut quality, [65534, 65535, 0, 2]);
        assert_eq!(quality.lost(), 1);
    }

    #[test]
    fn a_new_source_starts_anew_and_old_loss_stays() {
        let mut quality = Quality::default();
        arrive(&mut quality, [1, 3]);
        quality.receive(Duration::ZERO, Rtp { ssrc: 2, ..rtp(40_000, 0) });
        arrive(&mut quality, [50_000]);
        assert_eq!(quality.lost(), 1);
    }

    #[test]
    fn an_even_pace_has_no_jitter_and_an_uneven_one_has() {
        let mut quality = Quality::default();
        for n in 0..100u16 {
            quality.receive(Duration::from_millis(u64::from(n) * 20), rtp(n, u32::from(n) * 160));
        }
        assert!(quality.jitter().unwrap() < 0.001);
        // Every second packet ten milliseconds late: the difference is always ten.
        for n in 100..300u16 {
            let late = u64::from(n % 2) * 10;
            quality.receive(Duration::from_millis(u64::from(n) * 20 + late), rtp(n, u32::from(n) * 160));
        }
        let jitter = quality.jitter().unwrap();
        assert!((9.9..10.1).contains(&jitter), "{jitter}");
    }

    #[test]
    fn jitter_goes_on_where_the_clock_wraps() {
        let mut quality = Quality::default();
        // 2^32 microseconds are 4294.97 seconds.
        for n in 0..200u16 {
            let at = Duration::from_secs(4293) + Duration::from_millis(u64::from(n) * 20);
            quality.receive(at, Rtp { payload_type: 96, ..rtp(n, u32::from(n) * 960) });
        }
        assert!(quality.jitter().unwrap() < 0.1);
    }

    #[test]
    fn it_is_one_line_of_the_cache() {
        assert_eq!(size_of::<Quality>(), 64);
    }

    #[test]
    fn the_clock_of_a_dynamic_payload_type_is_found_out() {
        let mut quality = Quality::default();
        for n in 0..200u16 {
            let at = Duration::from_millis(u64::from(n) * 20);
            quality.receive(at, Rtp { payload_type: 96, ..rtp(n, u32::from(n) * 960) });
        }
        assert!(quality.jitter().unwrap() < 0.1);
    }
}
