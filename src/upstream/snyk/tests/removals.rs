//! Removals of whom Snyk has shown otherwise: a membership that was said to be there,
//! and one that another connection had found in another role.

use std::time::Duration;

use super::*;
use crate::plan::state::Fallback;

/// Snyk says that the membership is there before its looks show it.
#[tokio::test]
async fn what_an_addition_was_refused_for_is_looked_at_twice_before_it_counts_as_out() {
    let refused = || create("old", 409, Value::Null);
    let (nothing, is) = (
        || look("user_id=old", &[]),
        membership("m-1", "old", VIEWER),
    );
    let (script, upstream) = snyk(&[
        refused(),
        nothing(),
        nothing(),
        look("user_id=old", &[is]),
        delete("m-1", 204),
        // No look has told anything of that addition.
        refused(),
        unread(nothing()),
        nothing(),
    ])
    .await;
    upstream.begin(&Lags {
        read_lag: Duration::from_millis(20),
        ..Lags::default()
    });
    let waits = |done: Result<MemberOutcome, UpstreamError>| {
        assert!(matches!(done, Ok(MemberOutcome::Waits(_))), "{done:?}");
    };
    waits(add(&upstream).await);
    waits(remove(&upstream).await);
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(remove(&upstream).await, Ok(MemberOutcome::Applied));
    let later = add(&upstream).await;
    assert!(
        matches!(later, Err(UpstreamError::Later { .. })),
        "{later:?}"
    );
    waits(remove(&upstream).await);
    script.all_was_asked();
}

/// With the name that is configured, and another id than its SCIM Group has.
#[tokio::test]
async fn nobody_is_out_of_a_role_that_was_made_anew_while_they_have_the_new_one() {
    const NEW: &str = "30000000-0000-4000-8000-000000000009";
    let mut is = membership("m-1", "old", NEW);
    is["relationships"]["role"]["data"]["attributes"]["name"] = json!("Group Viewer");
    let has = || look("user_id=old", &[is.clone()]);
    let all = look("", &[is.clone()]);
    let lines = [
        has(),
        unread(all.clone()),
        has(),
        all,
        has(),
        has(),
        has(),
        has(),
    ];
    let script = script(&lines).await;
    let groups = format!("[[groups]]\ngroup = \"{GROUP}\"\nrole = \"group_viewer\"");
    let upstream = open(Settings {
        base_url: Some(format!("http://{}/rest", script.address)),
        token: TokenSource::Literal("a-token".to_owned().into()),
        ..toml::from_str(&groups).unwrap()
    })
    .unwrap();
    recalled(&upstream, GROUP);
    let later = |done: Result<MemberOutcome, UpstreamError>| {
        assert!(matches!(done, Err(UpstreamError::Later { .. })), "{done:?}");
    };
    let barred = |done: Result<MemberOutcome, UpstreamError>, why: &str| {
        let Err(UpstreamError::Barred { reason }) = done else {
            panic!("{done:?}")
        };
        assert!(reason.contains("is another one now"), "{reason}");
        assert!(reason.contains(why), "{reason}");
    };
    assert_eq!(upstream.condition().replaced, [""; 0]);
    // Not all could be read, which proves nothing.
    later(remove(&upstream).await);
    assert_eq!(upstream.condition().replaced, [role()]);
    assert_eq!(upstream.remade(), []);
    later(remove(&upstream).await);
    let goes_on = (role(), format!("{GROUP}/{NEW}"));
    assert_eq!(upstream.remade(), [goes_on]);
    assert!(upstream.offers(&format!("{GROUP}/{NEW}")));
    upstream.note_remade(&role(), Some("as was said"));
    assert_eq!(upstream.remade(), []);
    barred(remove(&upstream).await, "(as was said)");
    barred(add(&upstream).await, "(as was said)");
    assert_eq!(upstream.condition().replaced, [role()]);
    // What was begun before its Group went on.
    upstream.note_remade(&role(), None);
    assert_eq!(upstream.condition().replaced, [""; 0]);
    barred(remove(&upstream).await, "");
    // Who is asked for in that one is to have it.
    let removal = Operation::RemoveMembers {
        group: role(),
        members: vec![Principal {
            counts: Some(format!("{GROUP}/{NEW}")),
            ..ann()
        }],
    };
    let done = upstream.apply(&removal).await.unwrap().members.remove(0).1;
    assert_eq!(done, MemberOutcome::Seen);
    script.all_was_asked();
}

/// Another connection had found the lesser role.
#[tokio::test]
async fn what_was_raised_here_is_made_what_another_connection_had_found() {
    let fallback = Fallback {
        group: format!("{GROUP}/{MEMBER}"),
        id: "m-1".into(),
    };
    let had = |id: &str| look("user_id=old", &[membership(id, "old", VIEWER)]);
    let lowered = |status: u16| {
        let path = format!("PATCH /rest/groups/{GROUP}/memberships/m-1?version=2025-11-05");
        let body = wire::role_update("m-1", MEMBER);
        (format!("{path} {body}"), status, Value::Null)
    };
    let ends = [
        vec![had("m-1"), lowered(204)],
        // It was made anew since.
        vec![had("m-2"), delete("m-2", 204)],
        // There is no such role any more.
        vec![had("m-1"), lowered(404), had("m-1"), delete("m-1", 204)],
        vec![had("m-1"), lowered(400), had("m-1"), delete("m-1", 204)],
    ];
    for (place, lines) in ends.iter().enumerate() {
        let (script, upstream) = snyk(lines).await;
        let operation = Operation::RemoveMembers {
            group: role(),
            members: vec![Principal {
                fallback: Some(fallback.clone()),
                ..ann()
            }],
        };
        let done = upstream.apply(&operation).await.unwrap();
        assert_eq!(done.members[0].1, MemberOutcome::Applied, "{place}");
        let has = done.holding.map(|it| (it.group, it.formerly));
        let lowered = (fallback.group.clone(), vec![role()]);
        assert_eq!(has, (place == 0).then_some(lowered));
        script.all_was_asked();
    }
    // What counts by the connection's own groups counts first.
    let (_, upstream) = snyk(&[]).await;
    for (counts, is) in [(Some(ADMIN), ADMIN), (None, MEMBER)] {
        let who = Principal {
            counts: counts.map(|it| format!("{GROUP}/{it}")),
            fallback: Some(fallback.clone()),
            ..ann()
        };
        let removal = Operation::RemoveMembers {
            group: role(),
            members: vec![who],
        };
        let said = upstream.call(&removal, Some(&role())).unwrap();
        assert!(said.ends_with(is), "{said}");
    }
}
