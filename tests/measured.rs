//! What the guard around the router measures, one below and one above, and what
//! it tells whom: readiness, left-out attributes, the id of a request.

use drawbridge::{bridge::Policy, http::Settings, scim::json::Limits};
use serde_json::{Value, json};

use super::wire::{Answer, Running, TOKEN, unreachable, with_policy};

const DROPPED: &str = "drawbridge-dropped-attributes";

async fn one() -> Running {
    unreachable(&["acme"], Settings::default()).await
}

async fn post(bridge: &Running, body: &Value) -> Answer {
    let body = body.to_string();
    bridge.ask("POST", "/scim/v2/Users", &[], &body).await
}

fn named(name: &str) -> Value {
    json!({"userName": format!("{name}@example.com")})
}

#[tokio::test(flavor = "multi_thread")]
async fn header_fields_may_be_sixteen_kibibytes_and_ninety_and_no_more() {
    let bridge = one().await;
    let status = async |fields: &[String]| {
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        bridge
            .ask("GET", "/scim/v2/Users", &fields, "")
            .await
            .status
    };
    // Those that every request of this client has.
    let own = [
        ("host", bridge.address.to_string()),
        ("authorization", format!("Bearer {TOKEN}")),
        ("connection", "close".to_owned()),
    ];
    let own: usize = own
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    let filled = |bytes: usize| [format!("X-Big: {}", "a".repeat(bytes - own - 5))];
    assert_eq!(status(&filled(16 * 1024)).await, 200);
    assert_eq!(status(&filled(16 * 1024 + 1)).await, 431);
    let many = |count: usize| (3..count).map(|n| format!("X-{n}: 1")).collect::<Vec<_>>();
    assert_eq!(status(&many(90)).await, 200);
    assert_eq!(status(&many(91)).await, 431);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_harmless_id_of_a_request_is_kept_and_every_other_is_a_new_one() {
    let bridge = one().await;
    let told = async |own: &str| {
        let own = format!("X-Request-Id: {own}");
        let answer = bridge.ask("GET", "/scim/v2/Users", &[&own], "").await;
        answer.header("x-request-id").unwrap().to_owned()
    };
    let long = "a".repeat(65);
    for own in ["A_b.c-1", &long[..64]] {
        assert_eq!(told(own).await, own);
    }
    let mut seen = Vec::new();
    for own in ["", "a b", "a/b", &long] {
        let new = told(own).await;
        assert!(
            new != own && !new.is_empty() && !seen.contains(&new),
            "{new}"
        );
        seen.push(new);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_is_ready_while_its_store_takes_writes() {
    let bridge = one().await;
    let asked = async |method: &str| {
        let request = format!("{method} /readyz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        bridge.send(request.as_bytes()).await
    };
    let well = asked("GET").await;
    assert_eq!((well.status, well.json()), (200, json!({"status": "live"})));
    assert_eq!(asked("HEAD").await.status, 200);
    asked("POST").await.refused(405);
    let (ann, bob) = (named("ann"), named("bob"));
    let other = bridge.store();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    post(&bridge, &ann).await.refused(503);
    let ill = asked("GET").await;
    assert_eq!(
        (ill.status, ill.json()),
        (503, json!({"status": "not ready"}))
    );
    assert_eq!(asked("HEAD").await.status, 503);
    asked("POST").await.refused(405);
    drop(other);
    // The next write shows that it takes them again.
    assert_eq!(post(&bridge, &bob).await.status, 201);
    assert_eq!(asked("GET").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_schema_defines_is_counted_where_it_is_left_out_and_else_refused() {
    let lenient = one().await;
    let odd = json!({"userName": "ann@example.com", "noSuch": 1, "norSuch": 2});
    let made = post(&lenient, &odd).await;
    assert_eq!((made.status, made.header(DROPPED)), (201, Some("2")));
    let made = post(&lenient, &named("bob")).await;
    assert_eq!((made.status, made.header(DROPPED)), (201, None));
    let limits = Limits {
        strict: true,
        ..Limits::default()
    };
    let strict = with_policy(Policy {
        limits,
        ..Policy::default()
    })
    .await;
    post(&strict, &odd).await.refused(400);
    // And so it is with what a query asks for.
    let path = "/scim/v2/Users?attributes=noSuch";
    assert_eq!(lenient.get(path).await.status, 200);
}
