//! Numbers with decimals.

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
