//! What was sent in the last minute and the silence that was asked for, by the
//! clock on the wall, as one line of text.
//!
//! The clock may be put forward or back between two looks. What seems to be
//! of the future counts as of now, so that nothing is kept for longer than it
//! would be with a good clock. Pure: the time is given.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

/// Calls are counted by half a second, and are taken to be of its end.
const SLOT: u64 = 500;
/// A minute, and for how long a call may be late.
const SLOTS: u64 = 128;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Past {
    calls: BTreeMap<u64, u32>,
    silence: Silence,
    /// What takes access away may go before that.
    busy: Silence,
}

/// Stands before it in the text.
const BUSY: &str = "busy";

/// In milliseconds, so long and until then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Silence {
    pause: u64,
    until: u64,
}

impl Silence {
    /// A shorter one does not shorten a longer one.
    fn ask(&mut self, pause: Duration, now: u64) {
        let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        if self.left(now) < Some(Duration::from_millis(pause)) {
            let until = now.saturating_add(pause);
            *self = Self { pause, until };
        }
    }

    fn left(self, now: u64) -> Option<Duration> {
        let left = self.until.saturating_sub(now);
        Some(left.min(self.pause))
            .filter(|left| *left > 0)
            .map(Duration::from_millis)
    }

    fn parse<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Self> {
        let pause = words.next()?.parse().ok()?;
        let until = words.next()?.parse().ok()?;
        Some(Self { pause, until })
    }
}

impl Past {
    /// A call goes at `now`, in milliseconds since 1970, as in all of these.
    pub(super) fn send(&mut self, now: u64) {
        self.settle(now);
        self.add(now / SLOT, 1);
    }

    /// Silence was asked for, of what takes access away too or not.
    pub(super) fn be_silent(&mut self, pause: Duration, whole: bool, now: u64) {
        self.settle(now);
        let asked = if whole {
            &mut self.silence
        } else {
            &mut self.busy
        };
        asked.ask(pause, now);
    }

    /// How long ago calls were sent at least, and how many; the latest first.
    pub(super) fn calls(&mut self, now: u64) -> Vec<(Duration, u32)> {
        self.settle(now);
        let age = |slot: u64| Duration::from_millis(now.saturating_sub((slot + 1) * SLOT));
        let latest = self.calls.iter().rev();
        latest.map(|(slot, count)| (age(*slot), *count)).collect()
    }

    /// What is left of the silence of everything, and of that of all but removals.
    pub(super) fn silences(&self, now: u64) -> [Option<Duration>; 2] {
        [self.silence.left(now), self.busy.left(now)]
    }

    /// Whether nothing of it matters any more.
    pub(super) fn is_over(&mut self, now: u64) -> bool {
        self.settle(now);
        self.calls.is_empty() && self.silences(now) == [None, None]
    }

    fn add(&mut self, slot: u64, more: u32) {
        let count = self.calls.entry(slot).or_default();
        *count = count.saturating_add(more);
    }

    fn settle(&mut self, now: u64) {
        let slot = now / SLOT;
        let ahead = self.calls.split_off(&(slot + 1));
        for count in ahead.into_values() {
            self.add(slot, count);
        }
        self.calls = self.calls.split_off(&slot.saturating_sub(SLOTS));
    }

    pub(super) fn text(&self) -> String {
        let Silence { pause, until } = self.silence;
        let mut text = format!("{pause} {until}");
        if self.busy != Silence::default() {
            let Silence { pause, until } = self.busy;
            let _ = write!(text, " {BUSY} {pause} {until}");
        }
        for (slot, count) in &self.calls {
            // Writing to a string cannot fail.
            let _ = write!(text, " {slot}:{count}");
        }
        text
    }

    /// `None` for what was not written by [`Self::text`].
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace().peekable();
        let silence = Silence::parse(&mut words)?;
        let busy = match words.next_if_eq(&BUSY) {
            Some(_) => Silence::parse(&mut words)?,
            None => Silence::default(),
        };
        let call = |word: &str| {
            let (slot, count) = word.split_once(':')?;
            let slot: u64 = slot.parse().ok()?;
            // So that the end of it can be told.
            let slot = Some(slot).filter(|slot| *slot < u64::MAX / SLOT)?;
            Some((slot, count.parse().ok()?))
        };
        Some(Self {
            calls: words.map(call).collect::<Option<_>>()?,
            silence,
            busy,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;
    const MINUTE: Duration = Duration::from_secs(60);

    fn all(past: &mut Past, now: u64) -> u32 {
        past.calls(now).iter().map(|(_, count)| count).sum()
    }

    #[test]
    fn what_was_sent_is_told_until_it_is_over_and_never_as_older_than_it_is() {
        let mut past = Past::default();
        for milli in 0..1_000 {
            past.send(NOW + milli);
        }
        let told = past.calls(NOW + 10_000);
        let millis = Duration::from_millis;
        assert_eq!(told, [(millis(9_000), 500), (millis(9_500), 500)]);
        assert_eq!(all(&mut past, NOW + 62_000), 1_000);
        assert!(past.is_over(NOW + 66_000));
    }

    #[test]
    fn a_clock_that_is_put_back_keeps_nothing_for_longer() {
        let mut past = Past::default();
        for second in 0..60 {
            past.send(NOW + second * 1_000);
        }
        past.be_silent(MINUTE, true, NOW);
        let hour_before = NOW - 3_600_000;
        assert_eq!(past.calls(hour_before), [(Duration::ZERO, 60)]);
        assert_eq!(past.silences(hour_before), [Some(MINUTE), None]);
        past.send(hour_before);
        assert_eq!(all(&mut past, hour_before + 61_000), 61);
        assert_eq!(all(&mut past, hour_before + 66_000), 0);
        // And one that is put forward makes everything old.
        assert!(past.is_over(NOW + 3_600_000));
    }

    #[test]
    fn a_silence_lasts_as_long_as_was_asked_for() {
        let past = Past::default();
        for (whole, place) in [(true, 0), (false, 1)] {
            let mut past = past.clone();
            past.be_silent(MINUTE, whole, NOW);
            past.be_silent(Duration::from_secs(1), whole, NOW + 1_000);
            let left = |at| past.silences(at)[place];
            assert_eq!(left(NOW + 59_000), Some(Duration::from_secs(1)));
            assert_eq!(past.silences(NOW + 59_000)[1 - place], None);
            assert_eq!(left(NOW + 60_000), None);
        }
    }

    #[test]
    fn the_text_is_bounded_and_says_the_same_again() {
        let mut past = Past::default();
        past.be_silent(MINUTE, true, u64::MAX / 2);
        past.be_silent(MINUTE, false, u64::MAX / 2);
        for slot in 0..10_000 {
            past.add(u64::MAX / 2 / SLOT + slot, u32::MAX);
            past.settle(u64::MAX / 2 + slot * SLOT);
        }
        let text = past.text();
        assert!(text.len() < 4_000, "{}", text.len());
        assert_eq!(Past::parse(&text), Some(past));
    }

    #[test]
    fn what_is_no_such_text_is_nothing() {
        for text in [
            "",
            "1",
            "a b",
            "0 0 1",
            "0 0 1:",
            "0 0 1:-1",
            "0 0 1:2:3",
            "0 0 busy 1",
        ] {
            assert_eq!(Past::parse(text), None, "{text:?}");
        }
        let end = u64::MAX;
        assert_eq!(Past::parse(&format!("0 0 {end}:1")), None);
        assert!(Past::parse("0 0").is_some());
    }
}
