//! Everything that goes wrong on the wire, and what the caller is told.

use std::time::{Duration, Instant};

use super::*;
use crate::{
    simulator::{Failure, RateLimit, Rule, Treatment},
    upstream::opsera::settings::Span,
};

/// The class of an error, and whether the change arrived.
async fn fate(failure: Failure) -> (&'static str, bool) {
    let bench = Bench::with(|settings| {
        if matches!(failure, Failure::Silent | Failure::SilentAfter) {
            settings.timeout = Span(Duration::from_millis(400));
        }
    });
    bench.faults(|faults| faults.rules = vec![Rule::always(failure)]);
    let class = match bench.add(&["cat"]).await {
        Ok(outcome) if outcomes(&outcome) == [MemberOutcome::Applied] => "applied",
        Ok(_) => "unlisted",
        Err(UpstreamError::Later { .. }) => "later",
        Err(UpstreamError::Unknown { .. }) => "unknown",
        Err(UpstreamError::Rejected { .. }) => "rejected",
        Err(UpstreamError::Denied { .. }) => "denied",
        Err(UpstreamError::Missing { .. }) => "missing",
        Err(UpstreamError::Exists { .. }) => "exists",
        Err(
            UpstreamError::Missed { .. }
            | UpstreamError::Staged { .. }
            | UpstreamError::Barred { .. }
            | UpstreamError::Partly { .. },
        ) => "ours",
    };
    (class, bench.crew().contains(&"cat".to_owned()))
}

fn status(status: u16) -> Failure {
    let retry_after = None;
    Failure::Status {
        status,
        retry_after,
    }
}

#[actix_web::test]
async fn every_failure_is_named_by_what_to_do_next() {
    let location = "http://127.0.0.1:9/elsewhere".to_owned();
    for (failure, class, arrived) in [
        (Failure::ErrorBefore, "unknown", false),
        (Failure::ErrorAfter, "unknown", true),
        (Failure::ResetBefore, "unknown", false),
        (Failure::ResetAfter, "unknown", true),
        (Failure::Silent, "unknown", false),
        (Failure::SilentAfter, "unknown", true),
        (Failure::Truncated, "unknown", true),
        (Failure::WebPage, "unknown", true),
        (Failure::WrongTypes, "unlisted", true),
        (Failure::Huge { bytes: 9 << 20 }, "unknown", true),
        (Failure::Redirect { location }, "unknown", false),
        (status(400), "rejected", false),
        (status(401), "denied", false),
        (status(403), "denied", false),
        (status(404), "missing", false),
        // Of one member it may say that it is one already: looked at.
        (status(409), "unlisted", false),
        (status(422), "rejected", false),
        (status(502), "unknown", false),
        (status(504), "unknown", false),
    ] {
        let name = format!("{failure:?}");
        assert_eq!(fate(failure).await, (class, arrived), "{name}");
    }
}

#[actix_web::test]
async fn reads_that_cannot_be_understood_are_unclear() {
    let bench = Bench::new();
    for failure in [Failure::WebPage, Failure::WrongTypes, Failure::Truncated] {
        bench.faults(|faults| faults.rules = vec![Rule::always(failure)]);
        for unclear in [
            bench.upstream.users().await.map(drop),
            bench.upstream.groups().await.map(drop),
            bench.upstream.members("crew").await.map(drop),
            bench.upstream.user(&email("ann")).await.map(drop),
            bench.upstream.group("crew").await.map(drop),
        ] {
            assert!(
                matches!(unclear, Err(UpstreamError::Unknown { .. })),
                "{unclear:?}"
            );
        }
    }
}

#[actix_web::test]
async fn what_is_unclear_is_never_repeated() {
    for failure in [
        Failure::ErrorBefore,
        Failure::ResetBefore,
        Failure::Truncated,
    ] {
        let bench = Bench::new();
        bench.faults(|faults| faults.rules = vec![Rule::next(failure, 1)]);
        assert!(bench.add(&["cat"]).await.is_err());
        assert_eq!(bench.calls().len(), 1);
    }
}

#[actix_web::test]
async fn a_short_refusal_is_waited_for_and_tried_again() {
    let bench = Bench::new();
    bench.faults(|faults| faults.rules = vec![Rule::next(status(425), 1)]);
    bench.add(&["cat"]).await.unwrap();
    assert_eq!(bench.calls().len(), 2);
    assert_eq!(bench.crew(), ["ann", "ben", "cat"]);
    for said in [503, 408] {
        bench.faults(|faults| faults.rules = vec![Rule::next(status(said), 1)]);
        bench.upstream.members("crew").await.unwrap();
        bench.faults(|faults| faults.rules = vec![Rule::next(status(said), 1)]);
        let written = bench.remove(&["cat"]).await;
        assert!(
            matches!(written, Err(UpstreamError::Unknown { .. })),
            "a gateway says {said} of calls that were done, too: {written:?}"
        );
    }
}

#[actix_web::test]
async fn an_asked_pause_holds_the_whole_application() {
    for (retry_after, at_least) in [
        ("70", 60_000),
        ("1000000000", 899_000),
        ("Fri, 31 Dec 2999 23:59:59 GMT", 899_000),
    ] {
        let bench = Bench::new();
        let failure = Failure::Status {
            status: 429,
            retry_after: Some(retry_after.into()),
        };
        bench.faults(|faults| faults.rules = vec![Rule::next(failure, 1)]);
        for outcome in [bench.add(&["cat"]).await, bench.remove(&["ann"]).await] {
            let Err(UpstreamError::Later {
                after: Some(after), ..
            }) = outcome
            else {
                panic!("{outcome:?}");
            };
            assert!(
                after >= Duration::from_millis(at_least),
                "{retry_after}: {after:?}"
            );
            assert!(
                after <= Duration::from_secs(901),
                "{retry_after}: {after:?}"
            );
        }
        let read = bench.upstream.users().await;
        assert!(matches!(read, Err(UpstreamError::Later { .. })));
        assert_eq!(bench.calls().len(), 1, "nothing is sent early");
    }
}

#[actix_web::test]
async fn a_senseless_pause_means_the_own_back_off() {
    for retry_after in ["-5", "soon", "0", "Thu, 01 Jan 1970 00:00:00 GMT"] {
        let bench = Bench::new();
        let failure = Failure::Status {
            status: 429,
            retry_after: Some(retry_after.into()),
        };
        bench.faults(|faults| faults.rules = vec![Rule::next(failure, 1)]);
        bench.add(&["cat"]).await.unwrap();
        assert_eq!(bench.calls().len(), 2, "{retry_after}");
    }
}

#[actix_web::test]
async fn the_pace_stays_under_the_limit() {
    let bench = Bench::with(|settings| {
        settings.requests_per_second = 20;
        settings.burst = 15;
    });
    bench.faults(|faults| {
        faults.rate_limit = Some(RateLimit {
            per_second: 20,
            retry_after: None,
        });
    });
    for _ in 0..50 {
        bench.upstream.group("crew").await.unwrap();
    }
    assert!(bench.calls().iter().all(|call| call.status == Some(200)));
}

#[actix_web::test]
async fn two_connections_with_one_credential_keep_one_limit_together() {
    let bench = Bench::new();
    let one_of_two = || {
        let mut settings = settings(bench.simulator.url());
        settings.requests_per_second = 40;
        settings.burst = 40;
        opsera::open(settings).unwrap()
    };
    let (first, second) = (one_of_two(), one_of_two());
    bench.faults(|faults| {
        faults.rate_limit = Some(RateLimit {
            per_second: 40,
            retry_after: None,
        });
    });
    let calls = (0..40).flat_map(|_| [first.group("crew"), second.group("crew")]);
    for outcome in futures_util::future::join_all(calls).await {
        outcome.unwrap();
    }
    assert_eq!(bench.calls().len(), 80, "none was refused");
}

#[actix_web::test]
async fn a_call_beyond_the_limit_is_told_apart_from_one_that_a_rule_refused() {
    let bench = Bench::new();
    let throttle = Failure::Status {
        status: 429,
        retry_after: Some("0".into()),
    };
    bench.faults(|faults| faults.rules = vec![Rule::next(throttle, 1)]);
    bench.upstream.group("crew").await.unwrap();
    bench.faults(|faults| {
        faults.rate_limit = Some(RateLimit {
            per_second: 0,
            retry_after: None,
        });
    });
    bench.upstream.group("crew").await.unwrap_err();
    let outcomes: Vec<_> = bench.calls().into_iter().map(|call| call.outcome).collect();
    assert_eq!(outcomes[0], "status");
    assert_eq!(outcomes[2], "over_limit");
}

#[actix_web::test]
async fn nobody_there_is_later_and_soon_only_probed() {
    let simulator =
        Simulator::start(Application::Opsera, anywhere(), TOKEN, &Company::empty()).unwrap();
    let url = simulator.url();
    simulator.stop().await;
    let upstream = opsera::open(settings(url)).unwrap();
    let start = Instant::now();
    for _ in 0..20 {
        let refused = upstream.group("crew").await;
        assert!(
            matches!(refused, Err(UpstreamError::Later { .. })),
            "{refused:?}"
        );
    }
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
}

#[actix_web::test]
async fn a_rotated_token_is_picked_up_after_a_refusal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "old-token").unwrap();
    let bench = Bench::with(|settings| settings.token = TokenSource::File(path.clone()));
    let refused = bench.add(&["cat"]).await;
    assert!(matches!(refused, Err(UpstreamError::Denied { .. })));
    std::fs::write(&path, TOKEN).unwrap();
    bench.add(&["cat"]).await.unwrap();
    assert_eq!(bench.crew(), ["ann", "ben", "cat"]);
}

#[actix_web::test]
async fn one_bad_member_fails_its_batch_alone() {
    let bench = Bench::new();
    bench.faults(|faults| faults.refuse_members = vec![email("dan")]);
    let refused = bench.add(&["cat", "dan"]).await;
    assert!(matches!(refused, Err(UpstreamError::Rejected { .. })));
    assert_eq!(bench.crew(), ["ann", "ben"]);
    bench.add(&["cat"]).await.unwrap();
    assert!(bench.add(&["dan"]).await.is_err());
}

#[actix_web::test]
async fn a_refusal_because_it_is_so_already_is_for_a_look_to_decide() {
    let bench = Bench::new();
    bench.faults(|faults| faults.duplicate_members = Treatment::Strict);
    let again = bench.add(&["ann"]).await.unwrap();
    assert_eq!(outcomes(&again), [MemberOutcome::Unknown]);
    let gone = bench.remove(&["cat"]).await.unwrap();
    assert_eq!(outcomes(&gone), [MemberOutcome::Unknown]);
    let batch = bench.add(&["ann", "cat"]).await;
    assert!(
        matches!(batch, Err(UpstreamError::Rejected { .. })),
        "nobody knows which"
    );
}

#[actix_web::test]
async fn a_lost_group_is_missing_whatever_the_operation() {
    let bench = Bench::new();
    let members = bench.principals(&["ann"]);
    let group = "no-such-group".to_owned();
    for operation in [
        Operation::AddMembers {
            group: group.clone(),
            members: members.clone(),
        },
        Operation::RemoveMembers {
            group: group.clone(),
            members: members.clone(),
        },
        Operation::ReplaceMembers { group, members },
    ] {
        let missing = bench.apply(operation.clone()).await;
        assert!(
            matches!(missing, Err(UpstreamError::Missing { .. })),
            "{operation:?}: {missing:?}"
        );
    }
}

#[actix_web::test]
async fn a_failed_tls_handshake_is_later_and_never_plain_http() {
    let bench = Bench::new();
    let secure = bench.simulator.url().replace("http://", "https://");
    let upstream = opsera::open(settings(secure)).unwrap();
    let refused = upstream.group("crew").await;
    assert!(
        matches!(refused, Err(UpstreamError::Later { .. })),
        "{refused:?}"
    );
    assert!(bench.calls().is_empty());
}

#[actix_web::test]
async fn a_reply_over_the_limit_names_the_key() {
    let bench = Bench::with(|settings| settings.reply_limit_mib = 1);
    bench.faults(|faults| faults.rules = vec![Rule::always(Failure::Huge { bytes: 2 << 20 })]);
    let Err(UpstreamError::Unknown { reason }) = bench.upstream.users().await else {
        panic!("too long a reply was taken");
    };
    assert!(reason.contains("reply_limit_mib"), "{reason}");
}
