//! The call log: what arrived, when, what became of it and what was answered.
//! Bounded in entries and in bytes, because benchmarks send a lot.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::Value;

const ENTRIES: usize = 200_000;
/// A longer body is cut, of a call or of its answer.
const BODY: usize = 64 * 1024;
/// All of them together; beyond it the oldest lose theirs.
const BODIES: usize = 64 * 1024 * 1024;

/// One call.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Call {
    /// Counts from 1 in the order of arrival, also across cleared logs.
    pub sequence: u64,
    /// RFC 3339.
    pub at: String,
    /// Milliseconds since the simulator started.
    pub started_ms: u64,
    /// The operation, by the names of the configuration (`add_members`), or `unknown`.
    pub operation: String,
    pub method: String,
    /// As on the wire, still percent-encoded.
    pub path: String,
    pub query: String,
    /// How the credential was presented (`Bearer`), and never the credential.
    pub scheme: String,
    /// The media type of the body.
    pub content_type: String,
    pub body: String,
    pub duration_ms: Option<u64>,
    /// `None` while in flight and where no answer was sent.
    pub status: Option<u16>,
    /// `applied`, `read`, `refused`, `over_limit`, or the fault that struck.
    pub outcome: String,
    /// The media type of the answer.
    pub answer_type: String,
    /// The body of the answer.
    pub answer: String,
    /// Not all of the bodies is kept.
    pub cut: bool,
}

/// What a call was answered, if it was.
#[derive(Debug, Default)]
pub(super) struct Answered {
    pub(super) status: Option<u16>,
    pub(super) media: &'static str,
    pub(super) body: String,
}

impl Call {
    /// The body as JSON; `null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// How many members the body names.
    pub fn members(&self) -> usize {
        let body = self.json();
        ["members", "groupMemberUserIds", "groupMemberEmailAddresses"]
            .iter()
            .filter_map(|key| body.get(key)?.as_array())
            .map(Vec::len)
            .sum()
    }
}

#[derive(Debug, Default)]
pub(super) struct Log {
    calls: VecDeque<Call>,
    arrived: u64,
    bytes: usize,
    /// Entries from the front that have lost their bodies.
    bare: usize,
}

impl Log {
    /// Takes a call that arrived; returns its sequence.
    pub(super) fn begin(&mut self, mut call: Call) -> u64 {
        self.arrived += 1;
        call.sequence = self.arrived;
        call.cut = cut(&mut call.body);
        self.bytes += call.body.len();
        self.calls.push_back(call);
        if self.calls.len() > ENTRIES
            && let Some(oldest) = self.calls.pop_front()
        {
            self.bytes -= oldest.body.len() + oldest.answer.len();
            self.bare = self.bare.saturating_sub(1);
        }
        self.bound();
        self.arrived
    }

    fn bound(&mut self) {
        while self.bytes > BODIES
            && let Some(oldest) = self.calls.get_mut(self.bare)
        {
            self.bytes -= oldest.body.len() + oldest.answer.len();
            (oldest.body, oldest.answer) = (String::new(), String::new());
            oldest.cut = true;
            self.bare += 1;
        }
    }

    /// Says what became of it. What is answered to one whose body is forgotten
    /// already is not kept.
    pub(super) fn end(&mut self, sequence: u64, answer: Answered, outcome: &str, now_ms: u64) {
        let Some(first) = self.calls.front().map(|call| call.sequence) else {
            return;
        };
        let place = sequence
            .checked_sub(first)
            .and_then(|place| usize::try_from(place).ok());
        let bare = self.bare;
        let place = place.filter(|place| *place < self.calls.len());
        if let Some((place, call)) = place.and_then(|it| Some((it, self.calls.get_mut(it)?))) {
            if place >= bare {
                call.answer = answer.body;
                call.cut |= cut(&mut call.answer);
                self.bytes += call.answer.len();
            }
            call.status = answer.status;
            answer.media.clone_into(&mut call.answer_type);
            outcome.clone_into(&mut call.outcome);
            call.duration_ms = Some(now_ms.saturating_sub(call.started_ms));
        }
        self.bound();
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.calls.iter().cloned().collect()
    }

    /// Calls after a sequence number, at most `most`.
    pub(super) fn since(&self, sequence: u64, most: usize) -> Vec<&Call> {
        self.calls
            .iter()
            .skip_while(|call| call.sequence <= sequence)
            .take(most)
            .collect()
    }

    pub(super) fn clear(&mut self) {
        self.calls.clear();
        self.bytes = 0;
        self.bare = 0;
    }
}

/// Whether something was lost.
fn cut(text: &mut String) -> bool {
    let mut end = BODY.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let whole = text.len();
    text.truncate(end);
    end < whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(body: usize) -> Call {
        Call {
            started_ms: 5,
            body: "x".repeat(body),
            ..Call::default()
        }
    }

    fn answered(status: u16) -> Answered {
        Answered {
            status: Some(status),
            media: "application/json",
            body: "{}".into(),
        }
    }

    #[test]
    fn the_log_forgets_the_oldest_calls_and_bodies() {
        let mut log = Log::default();
        for _ in 0..1_100 {
            log.begin(call(BODY + 5));
        }
        let lengths: Vec<_> = log.calls.iter().map(|call| call.body.len()).collect();
        assert_eq!(lengths.iter().sum::<usize>(), BODIES);
        assert_eq!((lengths[0], lengths[1_099]), (0, BODY));
        assert!(log.calls.iter().all(|call| call.cut));
        for _ in 0..ENTRIES {
            log.begin(call(0));
        }
        assert_eq!(log.calls.len(), ENTRIES);
        assert_eq!(log.bytes, 0);
        let last = log.begin(call(1));
        assert_eq!(log.bytes, 1);
        log.end(last, answered(200), "read", 12);
        log.end(1, answered(500), "too old to be noted", 12);
        assert_eq!(log.bytes, 3);
        let noted = log.since(last - 1, 10);
        assert_eq!(noted.len(), 1);
        assert_eq!(
            (noted[0].status, noted[0].duration_ms, &*noted[0].answer),
            (Some(200), Some(7), "{}")
        );
        assert_eq!(noted[0].answer_type, "application/json");
        assert!(!noted[0].cut);
    }
}
