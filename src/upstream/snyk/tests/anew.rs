//! Several accounts of one address: one that was made anew is the user's, and another
//! one is left alone.

use super::*;

#[tokio::test]
async fn an_account_that_was_made_anew_is_the_one_that_is_taken_out() {
    let new = membership("m-new", "new", VIEWER);
    let new = std::slice::from_ref(&new);
    let lines = [
        look("user_id=old", &[]),
        look(BY_EMAIL, new),
        look("user_id=old", &[]),
        look("user_id=new", new),
        delete("m-new", 204),
    ];
    let (script, upstream) = snyk(&lines).await;
    assert_eq!(remove(&upstream).await, Ok(MemberOutcome::Applied));
    script.all_was_asked();
    let (script, upstream) = snyk(&lines).await;
    withdraw(&upstream).await.unwrap();
    script.all_was_asked();
}

#[tokio::test]
async fn an_account_that_was_made_anew_is_the_one_that_is_added() {
    let made = json!({ "data": { "id": "m-new" } });
    let (script, upstream) = snyk(&[
        create("old", 404, Value::Null),
        look(BY_EMAIL, &[membership("m-other", "new", MEMBER)]),
        look("user_id=old", &[]),
        create("new", 201, made),
    ])
    .await;
    assert_eq!(add(&upstream).await, Ok(MemberOutcome::Applied));
    script.all_was_asked();
}

#[tokio::test]
async fn another_account_of_the_address_is_left_alone_while_the_linked_one_is_there() {
    let (script, upstream) = snyk(&[
        look("user_id=old", &[]),
        look(BY_EMAIL, &[membership("m-new", "new", VIEWER)]),
        // By another address.
        look("user_id=old", &[membership("m-old", "old", MEMBER)]),
    ])
    .await;
    assert_eq!(remove(&upstream).await, Ok(MemberOutcome::Seen));
    script.all_was_asked();
}

#[tokio::test]
async fn what_another_connection_has_ended_is_not_there_though_a_look_shows_it() {
    let viewer = membership("m-1", "old", VIEWER);
    let shown = || look("user_id=old", std::slice::from_ref(&viewer));
    let exists = || {
        let (path, ..) = create("old", 409, Value::Null);
        (path.replace(VIEWER, MEMBER), 409, Value::Null)
    };
    let lines = [shown(), delete("m-1", 204), exists(), shown()];
    let script = script(&lines).await;
    let (one, other) = (giving(VIEWER, &script), giving(MEMBER, &script));
    assert_eq!(remove(&one).await, Ok(MemberOutcome::Applied));
    let operation = Operation::AddMembers {
        group: format!("{GROUP}/{MEMBER}"),
        members: vec![ann()],
    };
    let added = other.apply(&operation).await.unwrap().members;
    assert!(matches!(added[0].1, MemberOutcome::Waits(_)), "{added:?}");
    script.all_was_asked();
}

#[tokio::test]
async fn an_answer_about_somebody_else_is_no_answer() {
    let other = json!({ "data": membership("m-ben", "ben", VIEWER) });
    let (script, upstream) = snyk(&[create("old", 201, other)]).await;
    let unclear = add(&upstream).await;
    assert!(
        matches!(unclear, Err(UpstreamError::Unknown { .. })),
        "{unclear:?}"
    );
    script.all_was_asked();
}

#[tokio::test]
async fn two_users_of_one_address_are_nobody() {
    let two = [
        membership("m-1", "one", VIEWER),
        membership("m-2", "two", VIEWER),
    ];
    let (script, upstream) = snyk(&[
        group(),
        look("", &two),
        look(BY_EMAIL, &two),
        look(BY_EMAIL, &two),
        look("user_id=old", &[]),
    ])
    .await;
    let all = upstream.users().await.unwrap();
    assert_eq!(all.len(), 2, "an import sees that they are two");
    let one = upstream.user("ann@example.com").await.unwrap().unwrap();
    assert_eq!(one.upstream_id, None);
    let link = Operation::CreateUser {
        account: "ann@example.com".into(),
        role: None,
        fields: std::collections::BTreeMap::new(),
        upstream_id: None,
    };
    let linked = upstream.apply(&link).await;
    assert!(
        matches!(linked, Err(UpstreamError::Barred { .. })),
        "{linked:?}"
    );
    // Nor is one of them taken for a linked one that is not there any more.
    assert_eq!(remove(&upstream).await, Ok(MemberOutcome::Seen));
    script.all_was_asked();
}
