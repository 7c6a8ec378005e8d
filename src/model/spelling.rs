// SPDX-License-Identifier: LGPL-2.1-or-later
//! How near two words are: for "did you mean".

/// How many bytes have to be added, left out, changed or swapped with the next one.
pub fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = last[j] + usize::from(x != y);
            let mut best = changed.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i - 1] == *y && b[j - 1] == *x {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_counts_once_in_both_directions() {
        for (a, b, wrong) in [
            ("", "", 0),
            ("ab", "ba", 1),
            ("bind", "bin", 1),
            ("abc", "", 3),
            ("boot", "broot", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!((distance(a.as_bytes(), b.as_bytes()), distance(b.as_bytes(), a.as_bytes())), (wrong, wrong));
        }
    }
}
