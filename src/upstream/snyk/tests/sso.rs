//! SSO connections: who leaves is taken out of them, and who is in one is linked.

use super::*;

/// As [`giving`], where whoever leaves is taken out of the SSO connection, too.
fn leaving_sso(script: &Script) -> Arc<dyn Upstream> {
    let groups =
        format!("sso = \"remove\"\n[[groups]]\ngroup = \"{GROUP}\"\nrole_id = \"{VIEWER}\"");
    let upstream = open(Settings {
        base_url: Some(format!("http://{}/rest", script.address)),
        token: TokenSource::Literal("a-token".to_owned().into()),
        ..toml::from_str(&groups).unwrap()
    });
    upstream.unwrap()
}

fn connections() -> (String, u16, Value) {
    let path = format!("GET /rest/groups/{GROUP}/sso_connections?limit=100&version=2025-11-05");
    let one = json!({ "id": "sso-1", "attributes": { "name": "SSO" } });
    (path, 200, json!({ "data": [one] }))
}

fn leave_sso(status: u16) -> (String, u16, Value) {
    let path =
        format!("DELETE /rest/groups/{GROUP}/sso_connections/sso-1/users/old?version=2025-11-05");
    (path, status, Value::Null)
}

#[tokio::test]
async fn who_is_not_let_out_of_the_sso_connection_is_out_of_the_rest() {
    let one = membership("m-1", "old", VIEWER);
    let lines = [
        look("user_id=old", std::slice::from_ref(&one)),
        delete("m-1", 204),
        connections(),
        leave_sso(400),
        look("user_id=old", &[]),
        look(BY_EMAIL, &[]),
        connections(),
        leave_sso(422),
    ];
    let script = script(&lines).await;
    let upstream = leaving_sso(&script);
    let Err(UpstreamError::Partly { reason }) = withdraw(&upstream).await else {
        panic!("the membership has gone")
    };
    assert!(
        reason.contains("SSO connections of the Snyk Group"),
        "{reason}"
    );
    // When nothing is left but that, nothing can be done.
    let refused = withdraw(&upstream).await;
    assert!(
        matches!(refused, Err(UpstreamError::Barred { .. })),
        "{refused:?}"
    );
    script.all_was_asked();
}

/// As [`giving`], where users of SSO connections are linked.
fn linking_sso(script: &Script) -> Arc<dyn Upstream> {
    let groups = format!("sso = \"link\"\n[[groups]]\ngroup = \"{GROUP}\"\nrole_id = \"{VIEWER}\"");
    let upstream = open(Settings {
        base_url: Some(format!("http://{}/rest", script.address)),
        token: TokenSource::Literal("a-token".to_owned().into()),
        ..toml::from_str(&groups).unwrap()
    });
    upstream.unwrap()
}

fn sso_users(ids: &[&str]) -> (String, u16, Value) {
    let path = format!(
        "GET /rest/groups/{GROUP}/sso_connections/sso-1/users?limit=100&version=2025-11-05"
    );
    let attributes = json!({ "email": "ann@example.com", "active": true });
    let one = |id: &&str| json!({ "id": id, "attributes": attributes });
    let users: Vec<Value> = ids.iter().map(one).collect();
    (path, 200, json!({ "data": users }))
}

#[tokio::test]
async fn whether_the_linked_account_is_there_still_is_read_for_the_end_of_another_one() {
    let new = membership("m-new", "new", VIEWER);
    let new = std::slice::from_ref(&new);
    let script = script(&[
        look(BY_EMAIL, &[]),
        connections(),
        sso_users(&["old"]),
        look("user_id=old", &[]),
        look(BY_EMAIL, new),
        look("user_id=old", &[]),
        // Somebody has deleted the linked one by now.
        connections(),
        sso_users(&["new"]),
        look("user_id=new", new),
        delete("m-new", 204),
    ])
    .await;
    let upstream = linking_sso(&script);
    let linked = upstream.apply(&link()).await.unwrap();
    assert_eq!(linked.upstream_id.as_deref(), Some("old"));
    withdraw(&upstream).await.unwrap();
    script.all_was_asked();
}

#[tokio::test]
async fn one_list_serves_whoever_asks_for_those_who_are_in_it_and_are_not_for_a_while() {
    let script = script(&[
        look(BY_EMAIL, &[]),
        connections(),
        sso_users(&[]),
        look(BY_EMAIL, &[]),
    ])
    .await;
    let upstream = linking_sso(&script);
    for _ in 0..2 {
        let staged = upstream.apply(&link()).await;
        assert!(
            matches!(staged, Err(UpstreamError::Staged { .. })),
            "{staged:?}"
        );
    }
    script.all_was_asked();
}
