// SPDX-License-Identifier: LGPL-2.1-or-later
//! Inputs made of a corpus and a dictionary, the same ones for the same seed.

/// Longer inputs are cut: what is special about them shows in shorter ones too.
const LONGEST: usize = 4096;

/// Makes inputs.
pub struct Mutator<'a> {
    state: u64,
    corpus: &'a [Vec<u8>],
    dictionary: &'a [Vec<u8>],
}

impl<'a> Mutator<'a> {
    /// The corpus must hold something.
    pub fn new(seed: u64, corpus: &'a [Vec<u8>], dictionary: &'a [Vec<u8>]) -> Self {
        Self { state: seed, corpus, dictionary }
    }

    /// The seed that makes the next input the first one.
    pub fn state(&self) -> u64 {
        self.state
    }

    /// The next input.
    pub fn next(&mut self) -> Vec<u8> {
        let mut bytes = self.pick(self.corpus).clone();
        for _ in 0..1 + self.below(6) {
            self.change(&mut bytes);
        }
        bytes.truncate(LONGEST);
        bytes
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.random() >> 1) as usize % end.max(1)
    }

    fn pick<'b>(&mut self, list: &'b [Vec<u8>]) -> &'b Vec<u8> {
        &list[self.below(list.len())]
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len() + 1);
        match self.below(9) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, b"\n\r\0\\=[]#;:\"'~+-0 \xff"[self.below(18)]),
            2 if at < bytes.len() => bytes[at] = self.random() as u8,
            3 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            4 => drop(bytes.drain(at..(at + self.below(8)).min(bytes.len()))),
            5 => {
                let other = self.pick(self.corpus);
                let from = self.below(other.len() + 1);
                let piece = other[from..(from + self.below(40)).min(other.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            6 => {
                let word = self.pick(self.dictionary).clone();
                bytes.splice(at..at, word);
            }
            7 => {
                let word = self.pick(self.dictionary).clone();
                let end = (at + word.len()).min(bytes.len());
                bytes.splice(at..end, word);
            }
            _ => {
                let end = (at + self.below(30)).min(bytes.len());
                let piece = bytes[at..end].repeat(1 + self.below(4));
                bytes.splice(at..at, piece);
            }
        }
    }
}
