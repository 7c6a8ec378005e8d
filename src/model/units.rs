// SPDX-License-Identifier: LGPL-2.1-or-later
//! Numbers with units: sizes and time spans, as systemd writes them (systemd.syntax(7), systemd.time(7)).

/// Units by name with what one of them is worth; an empty name is the unit of a bare number.
pub(super) type Units = &'static [(&'static str, u64)];

/// Sizes to the base of 1024 (`parse_size`).
const SIZES: Units = &[
    ("E", 1 << 60),
    ("P", 1 << 50),
    ("T", 1 << 40),
    ("G", 1 << 30),
    ("M", 1 << 20),
    ("K", 1 << 10),
    ("B", 1),
    ("", 1),
];

/// Time spans in microseconds (systemd.time(7)), without the unit of a bare number.
pub(super) const TIMES: Units = &[
    ("us", 1),
    ("usec", 1),
    ("µs", 1),
    ("ms", 1_000),
    ("msec", 1_000),
    ("s", 1_000_000),
    ("sec", 1_000_000),
    ("second", 1_000_000),
    ("seconds", 1_000_000),
    ("m", 60_000_000),
    ("min", 60_000_000),
    ("minute", 60_000_000),
    ("minutes", 60_000_000),
    ("h", 3_600_000_000),
    ("hr", 3_600_000_000),
    ("hour", 3_600_000_000),
    ("hours", 3_600_000_000),
    ("d", 86_400_000_000),
    ("day", 86_400_000_000),
    ("days", 86_400_000_000),
    ("w", 604_800_000_000),
    ("week", 604_800_000_000),
    ("weeks", 604_800_000_000),
    ("M", 2_629_800_000_000),
    ("month", 2_629_800_000_000),
    ("months", 2_629_800_000_000),
    ("y", 31_557_600_000_000),
    ("year", 31_557_600_000_000),
    ("years", 31_557_600_000_000),
];

/// A sum of numbers with units ("1h 30min", "1.5G"). `bare` is what a number without unit counts, if allowed.
pub(super) fn with_units(text: &str, units: Units, bare: u64) -> Option<u64> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut sum: u64 = 0;
    while !rest.is_empty() {
        rest = rest.strip_prefix('+').unwrap_or(rest);
        let whole = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number: u64 = rest[..whole].parse().ok()?;
        rest = &rest[whole..];
        let mut fraction = "";
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
            fraction = after.get(..end).filter(|f| !f.is_empty() && f.len() <= 18)?;
            rest = &after[end..];
        }
        rest = rest.trim_start();
        let end = rest.find(|c: char| c.is_ascii_digit() || c.is_whitespace()).unwrap_or(rest.len());
        let unit = &rest[..end];
        let worth = if unit.is_empty() { bare } else { units.iter().find(|(name, _)| *name == unit)?.1 };
        rest = rest[end..].trim_start();
        let mut part = number.checked_mul(worth)?;
        if !fraction.is_empty() {
            let scale = 10u128.pow(fraction.len() as u32);
            let extra = fraction.parse::<u128>().ok()? * u128::from(worth) / scale;
            part = part.checked_add(u64::try_from(extra).ok()?)?;
        }
        sum = sum.checked_add(part)?;
    }
    Some(sum)
}

/// A size in bytes, with the suffixes K to E.
pub fn parse_size(text: &str) -> Result<u64, String> {
    size(text).ok_or_else(|| "must be a size in bytes, with K, M, G or T for more".into())
}

/// A sum of sizes, the larger units first (`parse_size` of systemd). What a fraction has beyond bytes is dropped.
pub(super) fn size(text: &str) -> Option<u64> {
    let blank = [' ', '\t', '\n', '\r'];
    let mut rest = text;
    let mut units: &[(&str, u64)] = SIZES;
    let mut sum: u64 = 0;
    loop {
        rest = rest.trim_start_matches(blank);
        rest = rest.strip_prefix('+').unwrap_or(rest);
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let whole: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let mut fraction = (0u128, 1u128);
        if let Some(after) = rest.strip_prefix('.') {
            let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
            // More digits than a byte of the largest unit has make no difference.
            for digit in after[..digits].bytes().take(18) {
                fraction = (fraction.0 * 10 + u128::from(digit - b'0'), fraction.1 * 10);
            }
            rest = &after[digits..];
        }
        rest = rest.trim_start_matches(blank);
        let at = units.iter().position(|(unit, _)| rest.starts_with(unit))?;
        let (unit, worth) = units[at];
        rest = &rest[unit.len()..];
        units = &units[at + 1..];
        let part = fraction.0 * u128::from(worth) / fraction.1;
        sum = sum.checked_add(whole.checked_mul(worth)?)?.checked_add(u64::try_from(part).ok()?)?;
        if rest.is_empty() {
            return Some(sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_add_up() {
        assert_eq!(size("1.5K"), Some(1536));
        assert_eq!(size("1G500M"), Some((1 << 30) + (500 << 20)));
        assert_eq!((size("1."), size("+1 K 5"), size("1K1B7")), (Some(1), Some(1029), Some(1032)));
        assert_eq!(with_units("1h 30min", TIMES, 1_000_000), Some(5_400_000_000));
        assert_eq!(with_units("+1m", TIMES, 1), Some(60_000_000));
        for bad in ["", "K", "1Q", "-1", "++1", "17E", "1K1M", "1B1B", "1 1 1"] {
            assert_eq!(size(bad), None, "{bad}");
        }
        for bad in ["", "K", "1Q", "-1", "1.", "1.s"] {
            assert_eq!(with_units(bad, TIMES, 1), None, "{bad}");
        }
    }
}
