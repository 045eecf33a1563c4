//! The simulated Hydden.Control over a real wire, operation by operation, in the
//! shapes of its documentation: what the bridge never writes is there too.

use reqwest::Method;
use serde_json::{Value, json};

use super::*;

struct Wire {
    simulator: Judged,
    http: reqwest::Client,
}

impl Wire {
    fn new() -> Self {
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]);
        let company = small_company();
        Self {
            simulator: Judged::start(Application::Hydden, &company),
            http: http.build().unwrap(),
        }
    }

    async fn as_somebody(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Value,
    ) -> (u16, Value) {
        let url = format!("{}/api/v1/{path}", self.simulator.url());
        let mut request = self.http.request(method, url).bearer_auth(token);
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    async fn send(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        self.as_somebody(TOKEN, method, path, body).await
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.send(Method::GET, path, Value::Null).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }
}

#[actix_web::test]
async fn groups_are_listed_searched_read_and_written_as_records() {
    let wire = Wire::new();
    let found = wire.get("groups?search=REW").await;
    let crew = &found["groups"][0];
    assert_eq!(
        (&crew["name"], &crew["member_count"]),
        (&"crew".into(), &2.into())
    );
    assert_eq!(found["pageInfo"]["hasNextPage"], false);

    let new = json!({ "name": "Finance Team", "group_type": "security", "is_privileged": true });
    let (status, made) = wire.send(Method::POST, "groups", new).await;
    assert_eq!((status, &made["name"]), (201, &"Finance Team".into()));
    let path = format!("groups/{}", made["id"].as_str().unwrap());
    let merge = json!({ "description": "Those who count" });
    let (status, merged) = wire.send(Method::PUT, &path, merge).await;
    assert_eq!(status, 200);
    assert_eq!(merged["name"], "Finance Team", "what is not named stays");
    assert_eq!(wire.get(&path).await, merged);
    assert_eq!(
        wire.send(Method::DELETE, &path, Value::Null).await,
        (204, Value::Null)
    );
    let (status, gone) = wire.send(Method::GET, &path, Value::Null).await;
    assert_eq!((status, &gone["error"]["code"]), (404, &"NOT_FOUND".into()));
}

#[actix_web::test]
async fn members_are_read_and_have_no_operation_to_change_them() {
    let wire = Wire::new();
    let group = wire.get("groups?search=crew").await["groups"][0]["id"].clone();
    let path = format!("groups/{}/members", group.as_str().unwrap());
    let list = wire.get(&path).await;
    assert_eq!(list["count"], 2);
    assert_eq!(list["members"][0]["membership_type"], "direct");
    assert_eq!(list["members"][0]["status"], "active");
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let (status, _) = wire
            .send(method.clone(), &path, json!({ "id": "acc-1" }))
            .await;
        assert_eq!(status, 404, "{method}");
    }
    wire.simulator.overlook_strange_calls();
}

#[actix_web::test]
async fn accounts_are_listed_by_every_filter_and_written_as_records() {
    let wire = Wire::new();
    for (query, count) in [
        ("", 5),
        ("?search=ann%40", 1),
        ("?department=Nowhere", 0),
        ("?data_source_id=ds-1", 5),
        ("?limit=2", 2),
    ] {
        let page = wire.get(&format!("accounts{query}")).await;
        assert_eq!(page["accounts"].as_array().unwrap().len(), count, "{query}");
    }
    let (mut seen, mut after) = (0, String::new());
    for _ in 0..3 {
        let page = wire.get(&format!("accounts?limit=2{after}")).await;
        seen += page["accounts"].as_array().unwrap().len();
        after = format!("&after={}", page["pageInfo"]["endCursor"].as_str().unwrap());
    }
    assert_eq!(seen, 5);

    let new = json!({ "name": "fay", "email": "fay@example.com" });
    let (status, made) = wire.send(Method::POST, "accounts", new).await;
    assert_eq!((status, &made["status"]), (201, &"active".into()));
    let path = format!("accounts/{}", made["id"].as_str().unwrap());
    let merge = json!({ "department": "Finance" });
    let (_, merged) = wire.send(Method::PUT, &path, merge).await;
    assert_eq!(
        (&merged["name"], &merged["department"]),
        (&"fay".into(), &"Finance".into())
    );
    assert_eq!(wire.get(&path).await, merged);
    assert_eq!(wire.send(Method::DELETE, &path, Value::Null).await.0, 204);
}

#[actix_web::test]
async fn what_is_wrong_is_answered_with_a_code_and_a_message() {
    let wire = Wire::new();
    let unknown = json!({ "colour": "red" });
    for (method, path, body) in [
        (Method::POST, "groups", json!({ "description": "no name" })),
        (Method::POST, "groups", Value::Null),
        (Method::PUT, "groups/grp-1", unknown),
        (Method::GET, "groups?limit=0", Value::Null),
        (Method::GET, "groups?after=nonsense", Value::Null),
    ] {
        let (status, answer) = wire.send(method, path, body).await;
        assert_eq!(
            (status, &answer["error"]["code"]),
            (400, &"VALIDATION_ERROR".into())
        );
        assert!(answer["error"]["message"].is_string(), "{answer}");
    }
    let (status, answer) = wire
        .as_somebody("another", Method::GET, "groups", Value::Null)
        .await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (401, &"UNAUTHORIZED".into())
    );
    wire.simulator.overlook_strange_calls();
}
