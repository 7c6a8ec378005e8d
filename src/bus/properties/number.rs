// SPDX-License-Identifier: LGPL-2.1-or-later
//! Numbers as unit files write them (systemd.syntax(7), systemd.time(7)).

/// yes, no and what else systemd takes for them (`parse_boolean` of systemd's parse-util.c).
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        _ => None,
    }
}

/// A signal by name, with or without SIG, RTMIN+n and RTMAX-n, or by number (signal(7)).
pub(super) fn signal(text: &str) -> Option<i32> {
    let (rtmin, rtmax) = (34, 64);
    if let Ok(number) = text.parse::<i32>() {
        return (1..=rtmax).contains(&number).then_some(number);
    }
    let name = text.strip_prefix("SIG").unwrap_or(text);
    let offset = |rest: &str, sign: char| -> Option<i32> {
        if rest.is_empty() {
            return Some(0);
        }
        rest.strip_prefix(sign)?.parse::<i32>().ok().filter(|n| (0..=rtmax - rtmin).contains(n))
    };
    if let Some(rest) = name.strip_prefix("RTMIN") {
        return offset(rest, '+').map(|n| rtmin + n);
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        return offset(rest, '-').map(|n| rtmax - n);
    }
    format!("SIG{name}").parse::<nix::sys::signal::Signal>().ok().map(|signal| signal as i32)
}

/// 1 to 10000 (`CGROUP_WEIGHT_MIN`, `CGROUP_WEIGHT_MAX`).
pub(super) fn weight(text: &str) -> Option<u64> {
    text.parse().ok().filter(|weight| (1..=10_000).contains(weight))
}

/// Bytes with suffixes K to E of the given base, "1.5G" and sums such as "4G 512M" (`parse_size` of systemd's parse-util.c).
pub(super) fn size(text: &str, base: u64) -> Option<u64> {
    const SUFFIXES: &str = "BKMGTPE";
    let mut total: u64 = 0;
    let mut rest = text.trim();
    let mut last = SUFFIXES.len();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(end);
        let power = match tail.chars().next() {
            Some(c) if c.is_ascii_alphabetic() => SUFFIXES.find(c)?,
            _ => 0,
        };
        // Each part must be of a smaller unit than the one before.
        if power >= last {
            return None;
        }
        last = power;
        let unit = base.checked_pow(power.try_into().ok()?)?;
        total = total.checked_add(decimal(number, unit)?)?;
        rest = tail.strip_prefix(|c: char| c.is_ascii_alphabetic()).unwrap_or(tail).trim_start();
    }
    Some(total)
}

/// `number` (digits, at most one point, a digit on either side of it at least once) times `unit`, rounded down.
fn decimal(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut total = u128::from(whole) * u128::from(unit);
    if !fraction.is_empty() {
        // More digits than this make no difference to a 64-bit unit and would overflow.
        let digits = &fraction[..fraction.len().min(18)];
        total +=
            u128::from(digits.parse::<u64>().ok()?) * u128::from(unit) / 10_u128.pow(digits.len().try_into().ok()?);
    }
    total.try_into().ok()
}

/// Whether a share may pass the whole.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Bound {
    /// At most 100 %.
    Whole,
    /// Several CPUs.
    None,
}

/// "12%", "12.5‰" or "125‱" in ten-thousandths (`parse_permyriad` of systemd's percent-util.c).
pub(super) fn permyriad(text: &str, bound: Bound) -> Option<u32> {
    let (number, unit) = [('%', 100), ('‰', 10), ('‱', 1)]
        .into_iter()
        .find_map(|(sign, unit)| Some((text.strip_suffix(sign)?, unit)))?;
    let fraction = number.split_once('.').map_or("", |(_, fraction)| fraction);
    // A percentage has two digits after its point at most, and so on: finer shares cannot be expressed.
    let finest = match unit {
        100 => 2,
        10 => 1,
        _ => 0,
    };
    if !number.starts_with(|c: char| c.is_ascii_digit()) || fraction.len() > finest {
        return None;
    }
    let share: u32 = decimal(number, unit)?.try_into().ok()?;
    (bound == Bound::None || share <= 10_000).then_some(share)
}

/// A share as PID 1's `…Scale` properties take it: of 2^32 - 1, rounded (`UINT32_SCALE_FROM_PERMYRIAD`).
pub(super) fn scale(permyriad: u32) -> u32 {
    let scaled = (u64::from(permyriad) * u64::from(u32::MAX) + 5_000) / 10_000;
    scaled.min(u32::MAX.into()).try_into().unwrap_or(u32::MAX)
}

/// `CPUQuota=` in microseconds of CPU time a second.
pub(super) fn cpu_quota(text: &str) -> Option<u64> {
    let share = permyriad(text, Bound::None)?;
    (share > 0).then_some(u64::from(share) * 100)
}

/// What a bare number counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum TimeUnit {
    /// Seconds.
    Second,
    /// Microseconds.
    Microsecond,
}

/// A time span in microseconds, `u64::MAX` for infinity (systemd.time(7), "Parsing Time Spans").
pub(super) fn time(text: &str, bare: TimeUnit) -> Option<u64> {
    let mut rest = text.trim();
    if rest == "infinity" {
        return Some(u64::MAX);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(end);
        let tail = tail.trim_start();
        let end = tail.find(|c: char| c.is_ascii_digit() || c.is_ascii_whitespace() || c == '.').unwrap_or(tail.len());
        let (word, tail) = tail.split_at(end);
        total = total.checked_add(decimal(number, time_unit(word, bare)?)?)?;
        rest = tail.trim_start();
    }
    Some(total)
}

fn time_unit(word: &str, bare: TimeUnit) -> Option<u64> {
    const SECOND: u64 = 1_000_000;
    const DAY: u64 = 86_400 * SECOND;
    Some(match word {
        "" if bare == TimeUnit::Second => SECOND,
        "" | "us" | "usec" | "µs" | "μs" => 1,
        "s" | "sec" | "second" | "seconds" => SECOND,
        "ms" | "msec" => 1_000,
        "m" | "min" | "minute" | "minutes" => 60 * SECOND,
        "h" | "hr" | "hour" | "hours" => 3_600 * SECOND,
        "d" | "day" | "days" => DAY,
        "w" | "week" | "weeks" => 7 * DAY,
        // A month is 30.44 days and a year 365.25.
        "M" | "month" | "months" => 2_629_800 * SECOND,
        "y" | "year" | "years" => 31_557_600 * SECOND,
        _ => return None,
    })
}

/// "0-3,8 12": a mask, bit n of byte n/8 for number n (`cpu_set_to_dbus` of systemd's cpu-set-util.c).
pub(super) fn bit_set(text: &str) -> Option<Vec<u8>> {
    // As many CPUs as the largest kernel build can have.
    const MOST: usize = 8192;
    let mut mask = Vec::new();
    for word in text.split(|c: char| c.is_ascii_whitespace() || c == ',').filter(|word| !word.is_empty()) {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last >= MOST {
            return None;
        }
        if mask.len() <= last / 8 {
            mask.resize(last / 8 + 1, 0_u8);
        }
        (first..=last).for_each(|n| mask[n / 8] |= 1 << (n % 8));
    }
    Some(mask)
}
