// SPDX-License-Identifier: LGPL-2.1-or-later
//! SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF").
//!
//! systemd derives link names, hardware addresses and user id ranges with it. The hash must be this one, bit by bit:
//! that is how both launchers come to the same names for the same machine.

/// SipHash-2-4 of `data` under a 128-bit `key`, read as two little-endian words as in the paper.
pub fn siphash24(data: &[u8], key: &[u8; 16]) -> u64 {
    let key = u128::from_le_bytes(*key);
    let (k0, k1) = (key as u64, (key >> 64) as u64);
    let mut s = State([
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ]);
    let (words, tail) = data.as_chunks::<8>();
    for word in words {
        s.absorb(u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..tail.len()].copy_from_slice(tail);
    last[7] = data.len() as u8;
    s.absorb(u64::from_le_bytes(last));
    s.finish()
}

struct State([u64; 4]);

impl State {
    fn absorb(&mut self, word: u64) {
        self.0[3] ^= word;
        self.rounds(2);
        self.0[0] ^= word;
    }

    fn finish(mut self) -> u64 {
        self.0[2] ^= 0xff;
        self.rounds(4);
        self.0.into_iter().fold(0, |sum, v| sum ^ v)
    }

    fn rounds(&mut self, count: u32) {
        let [mut a, mut b, mut c, mut d] = self.0;
        for _ in 0..count {
            a = a.wrapping_add(b);
            b = b.rotate_left(13) ^ a;
            a = a.rotate_left(32);
            c = c.wrapping_add(d);
            d = d.rotate_left(16) ^ c;
            a = a.wrapping_add(d);
            d = d.rotate_left(21) ^ a;
            c = c.wrapping_add(b);
            b = b.rotate_left(17) ^ c;
            c = c.rotate_left(32);
        }
        self.0 = [a, b, c, d];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The key and inputs of the paper's test vectors: bytes that count up from 0.
    fn counting(len: u8) -> Vec<u8> {
        (0..len).collect()
    }

    #[test]
    fn the_vectors_of_the_reference_implementation() {
        let key: [u8; 16] = counting(16).try_into().unwrap();
        for (len, want) in [
            (0, 0x726f_db47_dd0e_0e31),
            (1, 0x74f8_39c5_93dc_67fd),
            (8, 0x93f5_f579_9a93_2462),
            (15, 0xa129_ca61_49be_45e5),
        ] {
            assert_eq!(siphash24(&counting(len), &key), want, "of {len} bytes");
        }
    }

    proptest! {
        #[test]
        #[allow(deprecated)]
        fn equals_the_one_of_the_standard_library(data: Vec<u8>, key: [u8; 16]) {
            use std::hash::Hasher;
            let k = u128::from_le_bytes(key);
            let mut oracle = std::hash::SipHasher::new_with_keys(k as u64, (k >> 64) as u64);
            oracle.write(&data);
            prop_assert_eq!(siphash24(&data, &key), oracle.finish());
        }
    }
}
