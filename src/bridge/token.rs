//! Bearer tokens: who may speak for a connection.
//!
//! A token is 256 random bits with a prefix and a checksum ([`secret`]). What
//! is kept of it is a digest keyed by a pepper, in one file per connection
//! ([`file`]), so that neither a copied file nor a copied database lets
//! anybody in. [`Tokens`] is the table a running server checks against; it
//! notices a changed file within a second of use, so a revocation needs no
//! restart. OAuth and JWT are deliberately absent here. RFC 7644 sections 2
//! and 7.4, RFC 6750.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use arc_swap::ArcSwap;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::store::Millis;

pub mod file;
pub mod secret;

pub use file::{Created, Listed, TokenError, create, list, revoke};

/// How often, at most, a table in use looks at its file.
const POLL_MS: Millis = 1_000;

/// Clocks differ: a token still works this long after its expiry.
const SKEW_MS: Millis = 60_000;

/// Longer values than this are not tokens; nothing is computed over them.
const LONGEST: usize = 512;

pub(crate) type Keyed = Hmac<Sha256>;

/// A token's public id, for the audit and the log. Knowing it lets nobody in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenName(Arc<str>);

impl TokenName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The live tokens of one connection. The default lets nobody in.
pub struct Tokens {
    table: ArcSwap<Table>,
    source: Option<Source>,
}

impl Tokens {
    /// Reads a connection's token file. A missing, unreadable, damaged or
    /// world-readable file is an error: a server must not start on a guess.
    pub fn open(path: &Path) -> Result<Self, TokenError> {
        let (table, stamp) = Table::read(path)?;
        Ok(Self {
            table: ArcSwap::from_pointee(table),
            source: Some(Source {
                path: path.to_owned(),
                polled: AtomicI64::new(Millis::MIN),
                seen: Mutex::new(Seen {
                    used: stamp,
                    told: None,
                }),
            }),
        })
    }

    /// One token that never expires and is kept nowhere: for demonstrations
    /// and tests. Empty and guessable ones are refused.
    pub fn fixed(token: &str) -> Result<Self, TokenError> {
        secret::acceptable(token)?;
        let mac = keyed(&secret::random_bytes()?)?;
        let digest = digest(&mac, token.as_bytes());
        let table = Table {
            mac: Some(mac),
            entries: vec![Entry {
                digest,
                until: Millis::MAX,
                name: TokenName(Arc::from("fixed")),
            }],
        };
        Ok(Self {
            table: ArcSwap::from_pointee(table),
            source: None,
        })
    }

    /// Whether the presented bytes are a live token, and which. The work is
    /// the same for an unknown, an expired and a revoked one: one keyed digest
    /// and one constant-time comparison with every entry.
    pub fn check(&self, presented: &[u8], now: Millis) -> Option<TokenName> {
        if let Some(source) = &self.source {
            source.follow(&self.table, now);
        }
        self.table.load().check(presented, now)
    }

    /// The tokens as their file has them now; `None` where there is no file.
    pub(super) fn listed(&self) -> Option<Result<Vec<Listed>, TokenError>> {
        self.source.as_ref().map(|source| list(&source.path))
    }

    /// A key of its own for another purpose, from the same pepper; `None` when
    /// there is none.
    pub(super) fn derived(&self, purpose: &str) -> Option<Keyed> {
        let table = self.table.load();
        keyed(&digest(table.mac.as_ref()?, purpose.as_bytes())).ok()
    }
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            table: ArcSwap::from_pointee(Table::default()),
            source: None,
        }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("entries", &self.table.load().entries.len())
            .field("file", &self.source.as_ref().map(|source| &source.path))
            .finish()
    }
}

/// Where a table came from, and what of it was seen last.
struct Source {
    path: PathBuf,
    polled: AtomicI64,
    seen: Mutex<Seen>,
}

struct Seen {
    /// What the table in force was read from.
    used: file::Stamp,
    /// What was last warned of, if nothing was read since.
    told: Option<Told>,
}

#[derive(PartialEq, Eq)]
enum Told {
    Gone,
    Unusable(file::Stamp),
}

impl Source {
    /// Swaps in the file's new content, at most once a second. Whatever is
    /// wrong with the new file, the old table stays and one warning is logged;
    /// it is tried again every second, since mending a file's owner or mode
    /// does not change its stamp.
    fn follow(&self, table: &ArcSwap<Table>, now: Millis) {
        let polled = self.polled.load(Ordering::Relaxed);
        let due = now < polled || now.saturating_sub(polled) >= POLL_MS;
        if !due
            || self
                .polled
                .compare_exchange(polled, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            return;
        }
        let Ok(mut seen) = self.seen.lock() else {
            return;
        };
        let stamp = file::stamp(&self.path);
        if stamp == Some(seen.used) {
            seen.told = None;
            return;
        }
        let told = Some(stamp.map_or(Told::Gone, Told::Unusable));
        match Table::read(&self.path) {
            Ok((fresh, used)) => {
                table.store(Arc::new(fresh));
                *seen = Seen { used, told: None };
            }
            Err(error) if seen.told != told => {
                seen.told = told;
                tracing::warn!(
                    file = %self.path.display(),
                    %error,
                    "the token file changed and cannot be used; the tokens read before stay in force"
                );
            }
            Err(_) => {}
        }
    }
}

/// What is compared against.
#[derive(Default)]
struct Table {
    mac: Option<Keyed>,
    entries: Vec<Entry>,
}

struct Entry {
    digest: [u8; 32],
    /// Not accepted from here on; a revoked token's is the beginning of time.
    until: Millis,
    name: TokenName,
}

impl Table {
    fn read(path: &Path) -> Result<(Self, file::Stamp), TokenError> {
        let (kept, pepper, stamp) = file::read(path)?;
        let entries = kept
            .into_iter()
            .map(|token| Entry {
                digest: token.digest,
                until: if token.revoked {
                    Millis::MIN
                } else {
                    token.expires.saturating_add(SKEW_MS)
                },
                name: TokenName(Arc::from(token.id)),
            })
            .collect();
        let mac = Some(keyed(&pepper)?);
        Ok((Self { mac, entries }, stamp))
    }

    fn check(&self, presented: &[u8], now: Millis) -> Option<TokenName> {
        if presented.len() > LONGEST {
            return None;
        }
        let digest = digest(self.mac.as_ref()?, presented);
        let mut found = u32::MAX;
        for (at, entry) in (0u32..).zip(&self.entries) {
            let live = Choice::from(u8::from(now < entry.until));
            let same = entry.digest.ct_eq(&digest);
            found.conditional_assign(&at, same & live);
        }
        let entry = self.entries.get(usize::try_from(found).ok()?)?;
        Some(entry.name.clone())
    }
}

fn keyed(pepper: &[u8]) -> Result<Keyed, TokenError> {
    Keyed::new_from_slice(pepper).map_err(|_| TokenError::Pepper)
}

fn digest(mac: &Keyed, token: &[u8]) -> [u8; 32] {
    mac.clone()
        .chain_update(token)
        .finalize()
        .into_bytes()
        .into()
}

#[cfg(test)]
mod tests;
