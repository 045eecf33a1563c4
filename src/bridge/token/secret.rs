//! The token itself: `dbr_`, 43 random characters, a checksum of six.
//!
//! 43 characters of an alphabet of 62 hold a little over 256 bits. The prefix
//! and the checksum let secret scanners and `drawbridge` itself tell a token,
//! or one with a typing error, from any other string; they are no protection
//! and checking them is never part of letting somebody in.

use sha2::{Digest, Sha256};

use super::TokenError;

pub const PREFIX: &str = "dbr_";
const RANDOM: usize = 43;
const CHECKSUM: usize = 6;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A fixed token must have at least this many characters, and this many
/// different ones.
const SHORTEST: usize = 8;
const VARIETY: usize = 5;

/// A new token.
pub fn generate() -> Result<String, TokenError> {
    let mut token = String::with_capacity(PREFIX.len() + RANDOM + CHECKSUM);
    token.push_str(PREFIX);
    let full = PREFIX.len() + RANDOM;
    while token.len() < full {
        let letters = random_bytes()?.into_iter().filter_map(fair);
        token.extend(letters.take(full - token.len()));
    }
    token.push_str(&checksum(&token));
    Ok(token)
}

/// Each letter comes of four bytes; those from 248 up would make the first eight
/// likelier.
fn fair(byte: u8) -> Option<char> {
    (byte < 248).then(|| letter(u32::from(byte)))
}

/// Whether a string is a token without typing errors; says nothing about
/// whether it was ever issued.
pub fn well_formed(token: &str) -> bool {
    token.starts_with(PREFIX)
        && token.len() == PREFIX.len() + RANDOM + CHECKSUM
        && token
            .split_at_checked(PREFIX.len() + RANDOM)
            .is_some_and(|(body, sum)| checksum(body) == sum)
}

/// Whether a token chosen by a person may be used at all.
pub fn acceptable(token: &str) -> Result<(), TokenError> {
    let printable = token.bytes().all(|byte| byte.is_ascii_graphic());
    let mut letters: Vec<u8> = token.bytes().collect();
    letters.sort_unstable();
    letters.dedup();
    if printable && token.len() >= SHORTEST && letters.len() >= VARIETY {
        Ok(())
    } else {
        Err(TokenError::Weak)
    }
}

pub(super) fn random_bytes() -> Result<[u8; 32], TokenError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| TokenError::Randomness)?;
    Ok(bytes)
}

fn checksum(body: &str) -> String {
    let hash = Sha256::digest(body.as_bytes());
    let mut number = hash
        .iter()
        .take(4)
        .fold(0u32, |sum, byte| (sum << 8) | u32::from(*byte));
    let mut letters = ['0'; CHECKSUM];
    for place in letters.iter_mut().rev() {
        *place = letter(number);
        number /= 62;
    }
    letters.iter().collect()
}

fn letter(number: u32) -> char {
    let at = usize::try_from(number % 62).unwrap_or_default();
    char::from(ALPHABET[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_is_as_likely_as_every_other() {
        let drawn: Vec<char> = (0..=u8::MAX).filter_map(fair).collect();
        assert_eq!(drawn.len(), 4 * ALPHABET.len());
        for letter in ALPHABET {
            let times = drawn.iter().filter(|of| **of == char::from(*letter));
            assert_eq!(times.count(), 4);
        }
    }

    #[test]
    fn a_checksum_is_the_first_32_bits_of_sha_256_in_six_letters() {
        let token = "dbr_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2cFEjP";
        assert!(well_formed(token));
        assert_eq!(checksum(&token[..47]), token[47..]);
    }
}
