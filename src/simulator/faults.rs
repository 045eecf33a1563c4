//! The switches: what goes wrong, how often, and how the undocumented cases
//! are treated. All can be set at the start and while it runs.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::stage::Incoming;

/// All switches. The default is a quick and healthy application.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Every call takes at least so long; it is applied at the end of it.
    pub latency_ms: u64,
    pub rate_limit: Option<RateLimit>,
    pub minute: Option<Minute>,
    /// Reads show what was so this long ago.
    pub read_lag_ms: u64,
    /// Members nobody knows, in add, remove and replace.
    pub unknown_members: Treatment,
    /// Adding who is in, removing who is not.
    pub duplicate_members: Treatment,
    /// E-mails whose presence makes a whole batch fail.
    pub refuse_members: Vec<String>,
    /// Creating a deactivated e-mail revives it, without its memberships;
    /// otherwise it is refused.
    pub revive: bool,
    /// Reading a deactivated user by id or e-mail shows it, inactive.
    pub show_inactive: bool,
    /// Tried in order; the first that strikes decides.
    pub rules: Vec<Rule>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            rate_limit: None,
            minute: None,
            read_lag_ms: 0,
            unknown_members: Treatment::Strict,
            duplicate_members: Treatment::Lenient,
            refuse_members: Vec::new(),
            revive: true,
            show_inactive: true,
            rules: Vec::new(),
        }
    }
}

/// Calls beyond it in any second are answered 429.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    pub per_second: usize,
    /// The header as it is sent; `null` for none.
    #[serde(default)]
    pub retry_after: Option<String>,
}

/// Calls beyond it in any minute, with each key, are answered 429.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Minute {
    pub calls: usize,
    /// How long that minute is, for tests that have no time.
    #[serde(default = "a_minute")]
    pub length_ms: u64,
    /// After one call too many every call is refused, until there was none for
    /// so long.
    #[serde(default)]
    pub silence: bool,
}

fn a_minute() -> u64 {
    60_000
}

/// What to do with a member that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Treatment {
    /// 400 for the whole batch, nothing applied.
    Strict,
    /// Ignored and not listed.
    Lenient,
    /// Ignored and listed apart, under `result.failed`.
    Partial,
    /// Ignored and listed as if it had been done.
    Listed,
}

/// One way to fail, and when.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub failure: Failure,
    /// Only this operation (`add_members`).
    #[serde(default)]
    pub operation: Option<String>,
    /// Only calls whose path names this.
    #[serde(default)]
    pub target: Option<String>,
    /// Only calls that change something.
    #[serde(default)]
    pub writes: bool,
    /// Only the next so many that match; then the rule is gone.
    #[serde(default)]
    pub next: Option<u64>,
    /// Only this share of those that match.
    #[serde(default)]
    pub percent: Option<u64>,
}

impl Rule {
    /// Strikes the next `n` calls.
    pub fn next(failure: Failure, n: u64) -> Self {
        Self {
            failure,
            operation: None,
            target: None,
            writes: false,
            next: Some(n),
            percent: None,
        }
    }

    /// Strikes every call.
    pub fn always(failure: Failure) -> Self {
        Self {
            next: None,
            ..Self::next(failure, 0)
        }
    }

    /// Only for one operation.
    #[must_use]
    pub fn of(self, operation: &str) -> Self {
        Self {
            operation: Some(operation.into()),
            ..self
        }
    }
}

/// A way to fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// 500, nothing done.
    ErrorBefore,
    /// 500, and done.
    ErrorAfter,
    /// The connection ends without an answer, nothing done.
    ResetBefore,
    /// The connection ends without an answer, and done.
    ResetAfter,
    /// Done; the answer breaks off in the middle.
    Truncated,
    /// The connection ends without an answer; it is done so many milliseconds later.
    Late { after_ms: u64 },
    /// Never answered, never done.
    Silent,
    /// Never answered, and done.
    SilentAfter,
    /// This status, nothing done.
    Status {
        status: u16,
        #[serde(default)]
        retry_after: Option<String>,
    },
    /// Done; answered 200 with a web page.
    WebPage,
    /// Done; answered 200 with JSON of other types than documented.
    WrongTypes,
    /// 302 to another place, nothing done.
    Redirect { location: String },
    /// Done; answered 200 with so many bytes.
    Huge { bytes: usize },
    /// Done; what has one of these ids or e-mails is not on the list that is
    /// answered, as if a page of it were missing.
    LeftOut { ids: Vec<String> },
    /// Done; of what has one of these ids or e-mails on a list nothing but the id
    /// is of the type that is documented.
    Garbled { ids: Vec<String> },
}

/// How one call fails.
#[derive(Debug)]
pub(super) struct Strike {
    pub(super) failure: Failure,
    /// The caller was too fast; no rule struck.
    pub(super) over_limit: bool,
}

/// The calls of the last minute with one key, and the last one that was refused.
#[derive(Debug, Default)]
struct OfMinute {
    calls: VecDeque<Instant>,
    refused: Option<Instant>,
}

/// The switches at work.
#[derive(Debug, Default)]
pub(super) struct Switchboard {
    pub(super) faults: Faults,
    recent: VecDeque<Instant>,
    of_minute: HashMap<usize, OfMinute>,
    dice: u64,
}

impl Switchboard {
    pub(super) fn replace(&mut self, faults: Faults) {
        self.faults = faults;
        self.recent.clear();
        self.of_minute.clear();
    }

    pub(super) fn latency(&self) -> Duration {
        Duration::from_millis(self.faults.latency_ms)
    }

    /// How this call fails, if it does; counts it either way.
    pub(super) fn strike(&mut self, call: &Incoming, write: bool, now: Instant) -> Option<Strike> {
        let operation = call.operation;
        let over = self
            .over_minute(call.key, now)
            .or_else(|| self.over_limit(now));
        if let Some(failure) = over {
            return Some(Strike {
                failure,
                over_limit: true,
            });
        }
        self.faults.rules.retain(|rule| rule.next != Some(0));
        for place in 0..self.faults.rules.len() {
            let rule = &self.faults.rules[place];
            let target = rule.target.as_ref();
            let matches = rule.operation.as_deref().is_none_or(|it| it == operation)
                && target.is_none_or(|it| call.targets.contains(it))
                && (write || !rule.writes);
            let percent = rule.percent;
            if !matches || percent.is_some_and(|percent| self.roll() >= percent) {
                continue;
            }
            let rule = &mut self.faults.rules[place];
            rule.next = rule.next.map(|left| left - 1);
            return Some(Strike {
                failure: rule.failure.clone(),
                over_limit: false,
            });
        }
        None
    }

    fn over_minute(&mut self, key: usize, now: Instant) -> Option<Failure> {
        let minute = self.faults.minute.as_ref()?;
        let length = Duration::from_millis(minute.length_ms);
        let recent = |then: &Instant| now.duration_since(*then) < length;
        let of = self.of_minute.entry(key).or_default();
        while of.calls.front().is_some_and(|then| !recent(then)) {
            of.calls.pop_front();
        }
        let silenced = minute.silence && of.refused.as_ref().is_some_and(recent);
        if !silenced && of.calls.len() < minute.calls {
            of.calls.push_back(now);
            return None;
        }
        of.refused = Some(now);
        Some(Failure::Status {
            status: 429,
            retry_after: None,
        })
    }

    fn over_limit(&mut self, now: Instant) -> Option<Failure> {
        let limit = self.faults.rate_limit.as_ref()?;
        let second = Duration::from_secs(1);
        while self
            .recent
            .front()
            .is_some_and(|then| now.duration_since(*then) >= second)
        {
            self.recent.pop_front();
        }
        if self.recent.len() < limit.per_second {
            self.recent.push_back(now);
            return None;
        }
        Some(Failure::Status {
            status: 429,
            retry_after: limit.retry_after.clone(),
        })
    }

    /// 0 to 99, the same sequence in every run (xorshift).
    fn roll(&mut self) -> u64 {
        let mut dice = match self.dice {
            0 => 0x9E37_79B9_7F4A_7C15,
            dice => dice,
        };
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        self.dice = dice;
        dice % 100
    }
}
