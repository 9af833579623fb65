//! Numbers as people read them: with decimals, as parts of a hundred, in larger units.

use std::fmt;

/// A number from zero on with as many decimals as the format asks for, three at the most.
/// The standard library's way to write any float at all is twelve kilobytes.
///
/// ```
/// use sipproxy64::decimal::Decimal;
/// assert_eq!(format!("{:.1} {:.0} {}", Decimal(3.96), Decimal(3.96), Decimal(3.96)), "4.0 4 3.960");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Decimal(pub f64);

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = f.precision().unwrap_or(3).min(3);
        let scale = [1, 10, 100, 1000].get(decimals).copied().unwrap_or(1u64);
        let scaled = (self.0 * scale as f64).round() as u64;
        write!(f, "{}", scaled / scale)?;
        if decimals == 0 { Ok(()) } else { write!(f, ".{:0decimals$}", scaled % scale) }
    }
}

/// A part of a whole in percent with one decimal, cut off; of nothing it is none.
///
/// ```
/// use sipproxy64::decimal::Percent;
/// assert_eq!(Percent { part: 2, of: 1000 }.to_string(), "0.2 %");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Percent {
    /// The part.
    pub part: u64,
    /// The whole.
    pub of: u64,
}

impl Percent {
    /// In parts of a thousand.
    pub fn per_mille(self) -> u64 {
        self.part.saturating_mul(1000) / self.of.max(1)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_mille = self.per_mille();
        write!(f, "{}.{} %", per_mille / 10, per_mille % 10)
    }
}

/// Octets in a unit that people read.
///
/// ```
/// use sipproxy64::decimal::Bytes;
/// assert_eq!(format!("{}, {}", Bytes(9_999), Bytes(171_656)), "9999 bytes, 171 kB");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes @ 0..10_000 => write!(f, "{bytes} bytes"),
            bytes @ 10_000..10_000_000 => write!(f, "{} kB", bytes / 1000),
            bytes => write!(f, "{} MB", bytes / 1_000_000),
        }
    }
}
