//! What is said of a call: in the audit, to the lane, to whoever asked.
use super::*;
use crate::upstream::Sent;

/// Every way a call can fail.
fn failures() -> [UpstreamError; 8] {
    let reason = || "the application's own words".to_owned();
    [
        UpstreamError::Later {
            after: Some(Duration::from_secs(3)),
            reason: reason(),
        },
        UpstreamError::Unknown { reason: reason() },
        UpstreamError::Rejected { reason: reason() },
        UpstreamError::Denied { reason: reason() },
        UpstreamError::Missing { reason: reason() },
        UpstreamError::Exists { reason: reason() },
        UpstreamError::Staged { reason: reason() },
        UpstreamError::Barred {
            reason: "by a rule".into(),
        },
    ]
}

#[test]
fn the_audit_has_a_word_for_every_end_of_a_call() {
    assert_eq!(word(&Ok(())), "done");
    let words = failures().map(|error| word(&Err::<(), _>(error)));
    let known = [
        "later", UNANSWERED, "rejected", "denied", "missing", "exists", "staged", "barred",
    ];
    assert_eq!(words, known);
}

#[test]
fn the_lane_waits_as_long_as_it_was_asked_to_and_for_a_credential_that_is_taken() {
    let [later, _, _, denied, ..] = failures();
    assert_eq!(pause_after(&later), Pause::For(Duration::from_secs(3)));
    assert_eq!(pause_after(&denied), Pause::UntilAccepted);
    let whenever = UpstreamError::Later {
        after: None,
        reason: "503".into(),
    };
    for unclear in failures().into_iter().skip(1).chain([whenever]) {
        let expected = match unclear {
            UpstreamError::Denied { .. } => continue,
            // It is only looked again.
            UpstreamError::Missed { .. } => Pause::Look,
            _ => Pause::BackOff,
        };
        assert_eq!(pause_after(&unclear), expected, "{unclear}");
    }
}

#[test]
fn a_refusal_is_told_in_words_of_this_side() {
    let can = scripted(all_done).can;
    let told = failures().map(|error| refusal(&can, "do it", &error));
    let own = "Test refused to do it; its own words are in the bridge's log";
    let words = [
        own,
        own,
        own,
        own,
        "Test does not know it any more (do it)",
        "Test has one already that is not managed here (do it)",
        "Test does not have the account yet (do it)",
        "cannot do it in Test: by a rule",
    ];
    assert_eq!(told, words);
}

#[tokio::test]
async fn what_cannot_be_carried_is_logged_by_ids_alone() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let writer = Mutex::new(log.reopen().unwrap());
    let subscriber = tracing_subscriber::fmt().with_writer(writer).finish();
    let _logged = tracing::subscriber::set_default(subscriber);
    let mut app = scripted(all_done);
    app.can.rows.retain(|row| row.act != Act::AddMembers);
    turn(&app, group(0..2, 0..0)).await;
    let text = std::fs::read_to_string(log.path()).unwrap();
    assert!(text.contains("cannot be carried upstream"), "{text}");
    assert!(text.contains("AddMembers") && !text.contains('@'), "{text}");
}

#[tokio::test(start_paused = true)]
async fn the_audit_tells_of_each_request_unless_one_alone_ended_as_the_whole_did() {
    let began = Instant::now();
    tokio::time::advance(Duration::from_millis(70)).await;
    let requests = |ends: &[&'static str], result: Result<(), UpstreamError>| {
        let sent = ends.iter().zip(1..);
        let sent = sent.map(|(outcome, millis)| Sent { outcome, millis });
        let ended = vec![("a".to_owned(), "g".to_owned())];
        let noted = Noted {
            sent: sent.collect(),
            ended: ended.clone(),
            left: None,
        };
        let took = took(began, noted, &result);
        assert_eq!((took.millis, took.ended), (70, ended));
        took.requests
    };
    let each = |ends: &[&str]| {
        let ends = ends.iter().zip(1..);
        Some(
            ends.map(|(end, millis)| ((*end).to_owned(), millis))
                .collect(),
        )
    };
    let [later, .., denied, _, _, _, _] = failures();
    assert_eq!(requests(&["done"], Ok(())), None);
    assert_eq!(
        requests(&["done"], Err(rejected())),
        None,
        "it was that one"
    );
    let two = requests(&["done", "done"], Err(rejected()));
    assert_eq!(two, each(&["done", "rejected"]));
    // What held it back was never sent.
    for held in [later, denied] {
        assert_eq!(requests(&["done"], Err(held)), each(&["done"]));
    }
    assert_eq!(requests(&[], Ok(())), each(&[]));
}
