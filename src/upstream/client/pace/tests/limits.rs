//! A backlog against an application that counts: how much of what it allows is
//! used, and what is ever beyond it. The clock stands still between events, so
//! every run is the same.

#![allow(clippy::print_stdout)]

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use super::{super::*, Alone, what};
use crate::upstream::client::retry_after;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Takes so many calls in any span that long, and refuses the others, and some
/// for no reason.
pub(super) struct Application {
    limits: Vec<(Duration, usize)>,
    retry_after: Option<Duration>,
    /// Of a hundred.
    strays: u64,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    taken: VecDeque<Instant>,
    refused: VecDeque<Instant>,
    dice: u64,
}

impl Application {
    pub(super) fn new(limits: &[(Duration, usize)], retry_after: Option<Duration>) -> Arc<Self> {
        Self::with_strays(0, limits, retry_after)
    }

    fn with_strays(
        strays: u64,
        limits: &[(Duration, usize)],
        retry_after: Option<Duration>,
    ) -> Arc<Self> {
        Arc::new(Self {
            limits: limits.to_vec(),
            retry_after,
            strays,
            seen: Mutex::default(),
        })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    pub(super) fn takes(&self) -> bool {
        let strays = self.roll() % 100 < self.strays;
        let (mut seen, now) = (self.seen(), Instant::now());
        let full = |(span, most): &(Duration, usize)| {
            let within = seen.taken.iter().rev().take_while(|at| **at + *span > now);
            within.count() >= *most
        };
        let full = strays || self.limits.iter().any(full);
        let list = if full {
            &mut seen.refused
        } else {
            &mut seen.taken
        };
        list.push_back(now);
        !full
    }

    /// 10 to 20 ms, half of them before it arrives.
    pub(super) fn way(&self) -> Duration {
        Duration::from_millis(5 + self.roll() % 6)
    }

    fn roll(&self) -> u64 {
        let mut seen = self.seen();
        seen.dice = seen
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        seen.dice >> 33
    }

    /// Calls taken and refused from then on.
    pub(super) fn counted(&self, from: Instant) -> (usize, usize) {
        let seen = self.seen();
        let count = |list: &VecDeque<Instant>| list.iter().filter(|at| **at >= from).count();
        (count(&seen.taken), count(&seen.refused))
    }
}

/// Somebody who always has one more call to make.
async fn busy(pace: Arc<Alone>, application: Arc<Application>, priority: Priority, end: Instant) {
    while Instant::now() < end {
        match pace.turn(priority).await {
            Err(refusal) => sleep(refusal.after).await,
            Ok(turn) => {
                sleep(application.way()).await;
                let taken = application.takes();
                sleep(application.way()).await;
                if taken {
                    pace.welcome(&turn, what(1));
                } else {
                    pace.too_many(&turn, application.retry_after);
                }
            }
        }
    }
}

async fn backlog(limits: &Limits, application: &Arc<Application>, span: Duration) -> Arc<Alone> {
    let pace = Arc::new(Alone::new(limits));
    let end = Instant::now() + span;
    let one = |n| {
        let priority = if n % 4 == 0 {
            Priority::Revocation
        } else {
            Priority::Ordinary
        };
        tokio::spawn(busy(pace.clone(), application.clone(), priority, end))
    };
    futures_util::future::join_all((0..24).map(one)).await;
    pace
}

pub(super) fn limits(per_second: u32, per_minute: Option<u32>) -> Limits {
    Limits {
        per_second,
        burst: 5,
        concurrency: 16,
        per_minute,
        penalty: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_known_limit_is_used_to_95_parts_of_100_and_never_broken() {
    for (per_second, per_minute) in [(10, None), (27, Some(1_620)), (100, None), (50, Some(600))] {
        let mut known = vec![(SECOND, per_second as usize)];
        known.extend(per_minute.map(|most| (MINUTE, most as usize)));
        let application = Application::new(&known, None);
        let start = Instant::now();
        let pace = backlog(&limits(per_second, per_minute), &application, 2 * MINUTE).await;
        let (taken, refused) = application.counted(start);
        let allowed = 120 * per_second.min(per_minute.unwrap_or(u32::MAX) / 60) as usize;
        println!("{per_second}/s, {per_minute:?}/min: {taken} of {allowed} calls sent");
        assert_eq!(refused, 0, "{per_second}/s, {per_minute:?}/min");
        assert!(
            taken * 100 >= allowed * 95,
            "{per_second}/s, {per_minute:?}/min: {taken} of {allowed}"
        );
        assert_eq!(pace.per_second(), per_second);
    }
}

#[tokio::test(start_paused = true)]
async fn an_application_that_allows_half_of_what_is_said_is_used_to_80_parts_of_100() {
    let application = Application::new(&[(SECOND, 50)], Some(SECOND));
    let start = Instant::now();
    let pace = backlog(&limits(100, None), &application, 3 * MINUTE).await;
    let (taken, refused) = application.counted(start + MINUTE);
    let allowed = 120 * 50;
    println!("{taken} of {allowed} calls taken, {refused} refused");
    assert!(taken * 100 >= allowed * 80, "{taken} of {allowed}");
    assert!(refused * 100 <= taken, "{refused} refused of {taken}");
    assert!(
        (35..=55).contains(&pace.per_second()),
        "{}",
        pace.per_second()
    );
}

#[tokio::test(start_paused = true)]
async fn an_application_that_allows_less_and_asks_for_nothing_is_used_to_80_parts_of_100() {
    for most in [20, 50, 80] {
        let application = Application::new(&[(SECOND, most)], None);
        let start = Instant::now();
        backlog(&limits(100, None), &application, 3 * MINUTE).await;
        let (taken, refused) = application.counted(start + MINUTE);
        let allowed = 120 * most;
        println!("{most}/s: {taken} of {allowed} calls taken, {refused} refused");
        assert!(taken * 100 >= allowed * 80, "{most}/s: {taken}");
        assert!(refused * 25 <= taken, "{most}/s: {refused} of {taken}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_in_a_hundred_that_is_refused_for_no_reason_costs_little() {
    for retry_after in [None, Some(Duration::ZERO)] {
        let application = Application::with_strays(1, &[(SECOND, 100)], retry_after);
        let start = Instant::now();
        backlog(&limits(100, None), &application, 3 * MINUTE).await;
        let (taken, refused) = application.counted(start);
        let each = taken / 180;
        println!("{retry_after:?}: {each} calls/s taken, {refused} refused");
        assert!(each >= 80, "{retry_after:?}: {taken}");
        assert!(refused * 100 <= taken * 2, "{refused} of {taken}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_storm_of_refusals_the_limit_is_used_again_within_half_a_minute() {
    let application = Application::with_strays(100, &[], None);
    let pace = backlog(&limits(100, None), &application, 5 * MINUTE).await;
    assert!(pace.per_second() <= 20, "{}", pace.per_second());
    let well = Application::new(&[(SECOND, 100)], None);
    let end = Instant::now() + MINUTE;
    let one = |_| tokio::spawn(busy(pace.clone(), well.clone(), Priority::Ordinary, end));
    futures_util::future::join_all((0..24).map(one)).await;
    let (taken, refused) = well.counted(end - MINUTE / 2);
    assert!(taken >= 30 * 95 && refused == 0, "{taken}, {refused}");
}

#[tokio::test(start_paused = true)]
async fn an_application_that_refuses_everything_is_asked_now_and_then() {
    for retry_after in [None, Some(Duration::ZERO), Some(SECOND)] {
        let application = Application::new(&[(SECOND, 0)], retry_after);
        let start = Instant::now();
        let pace = backlog(&limits(100, None), &application, 5 * MINUTE).await;
        let (_, refused) = application.counted(start + MINUTE);
        assert!(
            (4..=48).contains(&refused),
            "{retry_after:?}: {refused} in 240 s"
        );
        assert!(pace.per_second() < 100);
    }
}

#[tokio::test(start_paused = true)]
async fn a_minute_of_silence_is_a_minute() {
    let application = Application::new(&[(MINUTE, 100)], None);
    let pace = Alone::new(&Limits {
        penalty: Some(MINUTE),
        ..limits(100, None)
    });
    let turn = pace.turn(Priority::Revocation).await.unwrap();
    let refused = pace.too_many(&turn, application.retry_after);
    drop(turn);
    assert_eq!(refused, MINUTE);
    let start = Instant::now();
    let turn = pace.turn(Priority::Background).await;
    assert!(
        turn.is_ok() && start.elapsed() >= MINUTE,
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn background_work_yields_and_does_not_starve() {
    let application = Application::new(&[], None);
    let pace = Arc::new(Alone::new(&limits(20, None)));
    let end = Instant::now() + MINUTE;
    let read = Application::new(&[], None);
    let reading = tokio::spawn(busy(pace.clone(), read.clone(), Priority::Background, end));
    for _ in 0..8 {
        let (pace, application) = (pace.clone(), application.clone());
        tokio::spawn(busy(pace, application, Priority::Ordinary, end));
    }
    reading.await.unwrap();
    let start = end - MINUTE;
    let (ordinary, background) = (application.counted(start).0, read.counted(start).0);
    let all = ordinary + background;
    assert!(all >= 1_140, "{all} of 1200");
    assert!(
        (all / 11..=all / 9).contains(&background),
        "{background} of {all}"
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_before_what_was_asked_for_is_over() {
    let written = "Sun, 06 Nov 1994 08:49:37 GMT";
    let now = retry_after::http_date(written).unwrap();
    let mut dice = 1_u64;
    for case in 0..1_000 {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let number = dice >> 33;
        let (minute, second) = (number % 60, number / 60 % 60);
        let text = match case % 5 {
            0 => format!("{}", number % 100),
            1 => format!("{number}{number}"),
            2 => format!("Sun, 06 Nov 1994 08:{minute:02}:{second:02} GMT"),
            3 => format!("-{number}"),
            _ => format!("{number}.5 seconds"),
        };
        let asked = retry_after::parse(&text, now);
        let pace = Alone::new(&limits(100, None));
        let turn = pace.turn(Priority::Ordinary).await.unwrap();
        pace.too_many(&turn, asked);
        drop(turn);
        let start = Instant::now();
        while let Err(refusal) = pace.turn(Priority::Revocation).await {
            sleep(refusal.after).await;
        }
        let (least, most) = (
            asked.unwrap_or_default(),
            asked.unwrap_or_default() + SECOND,
        );
        let waited = start.elapsed();
        assert!(waited >= least, "{text:?}: {waited:?}");
        assert!(waited <= most, "{text:?}: {waited:?}");
        assert!(waited <= retry_after::LONGEST + SECOND);
    }
}
