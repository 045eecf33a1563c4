//! The simulator itself: its switches, its log and its control interface.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::simulator::{Failure, Rule, Treatment};

/// A plain HTTP/1.1 exchange, so that the control interface is tested as any
/// tool would use it.
async fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> (u16, Value) {
    use std::io::{Read, Write};
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: simulator\r\nConnection: close\r\n\
         Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let exchange = move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    let text = tokio::task::spawn_blocking(exchange).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

#[actix_web::test]
async fn the_control_interface_sets_and_shows_everything() {
    let bench = Bench::new();
    let address = bench.simulator.address();
    let faults = json!({ "rules": [{ "failure": "error_after", "next": 1 }], "latency_ms": 5 });
    assert_eq!(
        exchange(address, "PUT", "/_simulator/faults", Some(&faults))
            .await
            .0,
        204
    );
    assert!(bench.add(&["cat"]).await.is_err());
    let (_, calls) = exchange(address, "GET", "/_simulator/calls", None).await;
    assert_eq!(calls[0]["operation"], "add_members");
    assert_eq!(calls[0]["outcome"], "error_after");
    assert_eq!(calls[0]["status"], 500);
    let (_, state) = exchange(address, "GET", "/_simulator/state", None).await;
    assert_eq!(
        state["groups"][2]["members"],
        json!(["ann@example.com", "ben@example.com", "cat@example.com"])
    );
    assert_eq!(
        exchange(address, "DELETE", "/_simulator/calls", None)
            .await
            .0,
        204
    );
    assert!(bench.calls().is_empty());
    let company = json!({ "users": [{ "email": "zoe@example.com" }] });
    assert_eq!(
        exchange(address, "POST", "/_simulator/seed", Some(&company))
            .await
            .0,
        204
    );
    assert_eq!(bench.state().users.len(), 1);
    let unknown = json!({ "latency": 5 });
    assert_eq!(
        exchange(address, "PUT", "/_simulator/faults", Some(&unknown))
            .await
            .0,
        400
    );
}

#[actix_web::test]
async fn the_documented_filters_work() {
    let bench = Bench::new();
    let address = bench.simulator.address();
    let id = bench.state().users[1].id.clone();
    let inactive = bench.state().users[4].id.clone();
    for (path, status, found) in [
        (
            "/api/v2/usermanagement/user?email=ANN%40example.com".into(),
            200,
            None,
        ),
        (
            "/api/v2/usermanagement/user?email=a*%40example.com".into(),
            200,
            None,
        ),
        (
            "/api/v2/usermanagement/user?email=*%40example.com".into(),
            400,
            None,
        ),
        (
            "/api/v2/usermanagement/user?email=eve%40example.com".into(),
            404,
            None,
        ),
        ("/api/v2/usermanagement/user".into(), 400, None),
        ("/api/v2/usermanagement/users".into(), 200, Some(4)),
        (
            "/api/v2/usermanagement/users?email=*n%40example.com".into(),
            200,
            Some(3),
        ),
        (
            format!("/api/v2/usermanagement/users?id={id},{inactive}"),
            200,
            Some(1),
        ),
        ("/api/v2/usermanagement/users?id=5".into(), 400, None),
        (
            "/api/v2/groupmanagement/groups?name=RE".into(),
            200,
            Some(1),
        ),
        (
            "/api/v2/groupmanagement/groups?id=CREW,old%20name&name=x".into(),
            200,
            Some(2),
        ),
        ("/api/v2/groupmanagement/group/Crew".into(), 404, None),
        ("/api/v2/data/people/nonsense".into(), 400, None),
        ("/api/v2/nothing".into(), 404, None),
    ] {
        let (got, body) = exchange(address, "GET", &path, None).await;
        assert_eq!(got, status, "{path}");
        if let Some(found) = found {
            assert_eq!(body.as_array().unwrap().len(), found, "{path}");
        }
    }
    let (_, people) = exchange(address, "GET", "/api/v2/data/people", None).await;
    assert_eq!(people["count"], 1);
    bench.simulator.overlook_strange_calls();
}

#[actix_web::test]
async fn what_is_not_allowed_is_refused() {
    let bench = Bench::new();
    let address = bench.simulator.address();
    let id = bench.state().users[2].id.clone();
    let members = "/api/v2/groupmanagement/group/crew/members";
    for (path, body) in [
        (members, json!({ "members": [id, "dan@example.com"] })),
        (members, json!({ "members": "dan@example.com" })),
        (members, json!({ "users": [] })),
        (
            "/api/v2/groupmanagement/group/mirror/members",
            json!({ "members": [] }),
        ),
        (
            "/api/v2/groupmanagement/group",
            json!({ "name": "Bad Name" }),
        ),
        (
            "/api/v2/groupmanagement/group",
            json!({ "name": "x", "groupMemberUserIds": [], "groupMemberEmailAddresses": [] }),
        ),
        (
            "/api/v2/usermanagement/user",
            json!({ "email": "x@example.com", "firstName": "X", "lastName": "X", "siteRole": "users" }),
        ),
        (
            "/api/v2/usermanagement/user",
            json!({ "email": "x@example.com" }),
        ),
    ] {
        assert_eq!(
            exchange(address, "POST", path, Some(&body)).await.0,
            400,
            "{body}"
        );
    }
    assert_eq!(bench.crew(), ["ann", "ben"]);
    bench.simulator.overlook_strange_calls();
}

#[actix_web::test]
async fn unknown_members_are_treated_as_switched() {
    for (treatment, listed, failed) in [
        (Treatment::Lenient, 1, 0),
        (Treatment::Partial, 1, 1),
        (Treatment::Listed, 2, 0),
    ] {
        let bench = Bench::new();
        bench.faults(|faults| faults.unknown_members = treatment);
        let body = json!({ "members": ["cat@example.com", "nobody@example.com"] });
        let path = "/api/v2/groupmanagement/group/crew/members";
        let (_, answer) = exchange(bench.simulator.address(), "POST", path, Some(&body)).await;
        let count = |key: &str| answer["result"][key].as_array().map_or(0, Vec::len);
        assert_eq!(
            (count("added"), count("failed")),
            (listed, failed),
            "{treatment:?}"
        );
        assert_eq!(bench.crew(), ["ann", "ben", "cat"]);
    }
}

#[actix_web::test]
async fn a_revived_account_starts_without_memberships() {
    let bench = Bench::new();
    let create = Operation::CreateUser {
        account: email("eve"),
        role: None,
        upstream_id: None,
        fields: fields(&[("firstName", "Eve"), ("lastName", "Again")]),
    };
    bench.faults(|faults| faults.revive = false);
    let refused = bench.apply(create.clone()).await;
    assert!(
        matches!(refused, Err(UpstreamError::Rejected { .. })),
        "{refused:?}"
    );
    bench.faults(|_| {});
    bench.apply(create).await.unwrap();
    let state = bench.state();
    assert!(state.user(&email("eve")).unwrap().active);
    assert_eq!(state.group("Old Name").unwrap().members, [email("cat")]);
}

#[actix_web::test]
async fn reads_lag_behind_writes_when_switched() {
    let bench = Bench::new();
    bench.faults(|faults| faults.read_lag_ms = 1_500);
    bench.add(&["cat"]).await.unwrap();
    assert_eq!(bench.crew(), ["ann", "ben", "cat"]);
    assert_eq!(bench.upstream.members("crew").await.unwrap().len(), 2);
    let start = Instant::now();
    while bench.upstream.members("crew").await.unwrap().len() < 3 {
        assert!(start.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(start.elapsed() > Duration::from_millis(500));
}

#[actix_web::test]
async fn a_late_write_lands_after_its_answer_was_lost() {
    let bench = Bench::new();
    let late = Failure::Late { after_ms: 1_500 };
    bench.faults(|faults| faults.rules = vec![Rule::next(late, 1).of("add_members")]);
    assert!(matches!(
        bench.add(&["cat"]).await,
        Err(UpstreamError::Unknown { .. })
    ));
    bench.remove(&["cat"]).await.unwrap();
    assert_eq!(bench.crew(), ["ann", "ben"]);
    let start = Instant::now();
    while bench.crew() != ["ann", "ben", "cat"] {
        assert!(start.elapsed() < Duration::from_secs(20), "no zombie came");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[actix_web::test]
async fn a_share_of_calls_fails_and_latency_is_kept() {
    let bench = Bench::new();
    bench.faults(|faults| {
        faults.latency_ms = 5;
        faults.rules = vec![Rule {
            percent: Some(30),
            ..Rule::always(Failure::ErrorBefore)
        }];
    });
    let mut failed = 0;
    for _ in 0..100 {
        failed += u32::from(bench.upstream.group("crew").await.is_err());
    }
    assert!((10..=50).contains(&failed), "{failed}");
    assert!(bench.calls().iter().all(|call| call.duration_ms >= Some(5)));
}

#[actix_web::test]
async fn a_bad_token_gets_nowhere() {
    let bench = Bench::with(|settings| {
        settings.token = TokenSource::Literal("something-else".to_owned().into());
    });
    assert!(matches!(
        bench.add(&["cat"]).await,
        Err(UpstreamError::Denied { .. })
    ));
    assert_eq!(bench.calls()[0].status, Some(401));
    assert_eq!(bench.crew(), ["ann", "ben"]);
}
